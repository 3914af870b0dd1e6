// Memory that others may write, without a copy and without a promise.
fn main() -> rbcore::Result<()> {
    let ring = rbcore::MemoryRing::create(65536)?;
    let mut reader = rbcore::Reader::open()?;
    reader.add(&rbcore::Source::memory(&ring).trusted())?;
    Ok(())
}
