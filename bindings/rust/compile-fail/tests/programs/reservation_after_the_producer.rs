// A reservation after its producer is gone.
fn main() -> rbcore::Result<()> {
    let ring = rbcore::MemoryRing::create(65536)?;
    let producer = rbcore::Producer::open(&ring)?;
    let reservation = producer.reserve(8)?;
    drop(producer);
    reservation.submit()
}
