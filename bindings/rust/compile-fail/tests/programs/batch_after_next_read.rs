// This uses a batch while the reader reads or commits.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::open()?;
    let batch = reader.read()?;
    reader.commit()?;
    println!("{batch:?}");
    Ok(())
}
