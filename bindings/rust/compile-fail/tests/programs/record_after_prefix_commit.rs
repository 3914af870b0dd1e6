// A record's bytes after the first ones of its batch were committed.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::open()?;
    let mut batch = reader.read()?;
    let bytes = batch.get(0).map(|record| record.data());
    batch.commit_first(1)?;
    println!("{bytes:?}");
    Ok(())
}
