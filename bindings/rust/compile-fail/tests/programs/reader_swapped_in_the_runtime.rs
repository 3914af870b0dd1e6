// This puts another reader in the place of one whose descriptor the runtime knows.
fn main() -> rbcore::Result<()> {
    let mut first = rbcore::AsyncReader::new(rbcore::Reader::open()?)?;
    let mut second = rbcore::Reader::open()?;
    std::mem::swap(&mut *first.get_mut(), &mut second);
    Ok(())
}
