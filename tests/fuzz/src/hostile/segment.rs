//! A segment: the input is the whole file. If a SEAL ends it, another segment goes on from it, so that it is read as a
//! sealed one, and gets an index file.

use super::{
    look::{self, Beside},
    mend::{LogEnd, Mender},
    stores::{self, STORE_ID},
};

pub(crate) fn run(input: &[u8]) {
    let meta = stores::meta(STORE_ID);
    let first = (stores::segment_name(1), input);
    let mut right = input.to_vec();
    let end = Mender::all().segment(&mut right, &LogEnd::beginning(STORE_ID));
    let disk = stores::disk_with(&[("store.meta", &meta), (&first.0, first.1)]);
    if end.is_sealed {
        let mut second = stores::segment_with(&stores::frame_with("order-1", "Paid", b"{}"), &end);
        Mender::all().segment(&mut second, &end);
        stores::put(&disk, &stores::segment_name(2), &second);
    }
    look::examine(&disk, Beside::Nothing);
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let mut segment = input.to_vec();
    segment.resize(segment.len().max(512), 0);
    mender.segment(&mut segment, &LogEnd::beginning(STORE_ID));
    segment
}
