// A record of a batch in a thread that may outlive it: that takes a lease.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::open()?;
    let batch = reader.read()?;
    let record = batch.get(0);
    std::thread::spawn(move || println!("{record:?}"));
    Ok(())
}
