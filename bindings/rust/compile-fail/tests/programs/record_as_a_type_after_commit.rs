// A record as a value of a type after its batch was committed.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::open()?;
    let batch = reader.read()?;
    let number = batch.records::<u64>().next();
    batch.commit()?;
    println!("{number:?}");
    Ok(())
}
