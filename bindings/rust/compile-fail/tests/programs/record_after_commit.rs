// A record's bytes after its batch was committed.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::open()?;
    let batch = reader.read()?;
    let record = batch.get(0);
    batch.commit()?;
    println!("{record:?}");
    Ok(())
}
