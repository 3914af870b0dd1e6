// A lease's bytes after it was dropped.
fn main() -> rbcore::Result<()> {
    let mut reader = rbcore::Reader::builder().open_leasing()?;
    let lease = reader.read()?.next().unwrap();
    let bytes = lease.data();
    drop(lease);
    println!("{bytes:?}");
    Ok(())
}
