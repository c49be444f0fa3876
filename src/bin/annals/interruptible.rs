//! Input that ends with Ctrl-C, also where nothing comes.
//!
//! A file is there to be read. From a pipe or a terminal the next bytes may never come, and a read that waits for them isn't
//! interrupted: so a thread of its own reads them, which nobody waits for, and the end comes to the same place as the bytes.

use std::{
    io::{self, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use anyhow::Context;

use crate::{
    input::{Lines, Source},
    interrupt::Stop,
};

const PIECE_BYTES: usize = 64 << 10;

/// How many pieces may wait to be taken.
const PIECES_MAX: usize = 4;

/// Whether input ended before it was whole. Its clones say the same.
#[derive(Clone, Default, Debug)]
pub(crate) struct Cut {
    is_made: Arc<AtomicBool>,
}

impl Cut {
    pub(crate) fn make(&self) {
        self.is_made.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_made(&self) -> bool {
        self.is_made.load(Ordering::Relaxed)
    }
}

/// The lines of a source that was opened, up to its end or to Ctrl-C; whether Ctrl-C came; and whether they end because of it.
///
/// What comes last may be half a line where it was Ctrl-C. Lines that are there when it comes are given all the same: who takes none
/// of them any more says so to the cut.
pub(crate) fn lines(bytes: Box<dyn Read + Send>, source: &Source) -> anyhow::Result<(Lines, Stop, Cut)> {
    let cut = Cut::default();
    if source.bytes_total().is_some() {
        return Ok((Lines::read_from(bytes, source), Stop::at_interrupt()?, cut));
    }
    let (sender, receiver) = sync_channel(PIECES_MAX);
    let end = sender.clone();
    // Where nobody takes pieces any more, nobody waits for the end either.
    let stop = Stop::at_interrupt_with(move || end.send(Piece::Cut).unwrap_or_default())?;
    let read = move || {
        let mut bytes = bytes;
        loop {
            let piece = next_piece(&mut bytes);
            let is_last = !matches!(piece, Piece::Bytes(_));
            if sender.send(piece).is_err() || is_last {
                break;
            }
        }
    };
    thread::Builder::new().name("input".to_owned()).spawn(read).context("can't begin to read")?;
    let pieces = Pieces { receiver, piece: Cursor::default(), has_ended: false, cut: cut.clone() };
    Ok((Lines::read_from(pieces, source), stop, cut))
}

enum Piece {
    Bytes(Vec<u8>),
    Failed(io::Error),
    End,
    /// Ctrl-C came before the end.
    Cut,
}

fn next_piece(bytes: &mut impl Read) -> Piece {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => return Piece::End,
            Ok(count) => {
                piece.truncate(count);
                return Piece::Bytes(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Piece::Failed(error),
        }
    }
}

struct Pieces {
    receiver: Receiver<Piece>,
    piece: Cursor<Vec<u8>>,
    /// Behind the end nothing comes, though Ctrl-C could still send something.
    has_ended: bool,
    cut: Cut,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.has_ended {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(Piece::Bytes(piece)) => self.piece = Cursor::new(piece),
                Ok(Piece::Failed(error)) => return Err(error),
                Ok(Piece::End) | Err(_) => self.has_ended = true,
                Ok(Piece::Cut) => {
                    self.has_ended = true;
                    self.cut.make();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces, one a read.
    struct Given(Vec<&'static [u8]>);

    impl Read for Given {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Ok(0) } else { self.0.remove(0).read(buffer) }
        }
    }

    #[test]
    fn what_comes_piece_by_piece_is_read_whole_and_ends_once() {
        let mut given = Given(vec![b"ab\nc", b"d\n", b"e"]);
        let (sender, receiver) = sync_channel(PIECES_MAX + 1);
        for _ in 0..4 {
            sender.send(next_piece(&mut given)).expect("room for it");
        }
        let cut = Cut::default();
        let pieces = Pieces { receiver, piece: Cursor::default(), has_ended: false, cut: cut.clone() };
        let mut lines = Lines::read_from(pieces, &Source::StandardInput);
        for number in 1..=3 {
            assert_eq!(lines.next().expect("readable").map(|line| line.number), Some(number));
        }
        // The sender is still there, as that of Ctrl-C is.
        assert_eq!(lines.next().expect("readable"), None);
        sender.send(Piece::Cut).expect("room for it");
        assert_eq!(lines.next().expect("readable"), None);
        assert!(!cut.is_made(), "it came behind the end");
    }

    #[test]
    fn what_ctrl_c_ends_is_cut() {
        let (sender, receiver) = sync_channel(PIECES_MAX);
        sender.send(Piece::Bytes(b"a\nhal".to_vec())).expect("room for it");
        sender.send(Piece::Cut).expect("room for it");
        let cut = Cut::default();
        let pieces = Pieces { receiver, piece: Cursor::default(), has_ended: false, cut: cut.clone() };
        let mut lines = Lines::read_from(pieces, &Source::StandardInput);
        let numbers: Vec<_> =
            std::iter::from_fn(|| lines.next().expect("readable").map(|line| line.number)).collect();
        assert_eq!(numbers, [1, 2]);
        assert!(cut.is_made());
    }
}
