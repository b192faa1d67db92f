//! Reading zchunk files: many pieces, each packed by itself, so that a client fetches only those that changed.
//! The format is described in zchunk's own `zchunk_format.txt`. Whole files are checked by whoever names them.

use std::io::{self, BufRead, Read};

use zstd::bulk::Decompressor;

const MAGIC: &[u8] = b"\0ZCK1";
/// Largest header; that of a repository with 100,000 packages has a hundredth of it.
const HEADER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest piece, unpacked. createrepo makes one of each source package.
const PIECE_BYTES_MAX: usize = 64 * 1024 * 1024;
const COMPRESSION_NONE: usize = 0;
const COMPRESSION_ZSTD: usize = 2;
/// Flags of the header.
const HAS_STREAMS: usize = 1;
const HAS_OPTIONAL_ELEMENTS: usize = 2;
const HAS_UNCOMPRESSED_CHECKSUMS: usize = 4;

/// The unpacked content of a file.
pub struct Unpacked<R> {
    packed: R,
    zstd: Option<Decompressor<'static>>,
    pieces: std::vec::IntoIter<Piece>,
    piece: Vec<u8>,
    /// How much of the piece was read.
    at: usize,
}

/// How long a piece is, packed and unpacked.
struct Piece {
    packed: usize,
    unpacked: usize,
}

impl<R: BufRead> Unpacked<R> {
    /// Reads the header and the dictionary.
    pub fn new(mut packed: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        packed.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("it is no zchunk file"));
        }
        let checksum_bytes = checksum_bytes(read_number(&mut packed)?)?;
        let header_bytes = read_number(&mut packed)?;
        let header = read_exactly(&mut packed, checksum_bytes.saturating_add(header_bytes), HEADER_BYTES_MAX)?;
        let mut header = Header(&header[checksum_bytes..]);
        header.skip(checksum_bytes)?;
        let flags = header.number()?;
        let compression = header.number()?;
        if flags & HAS_OPTIONAL_ELEMENTS != 0 {
            for _ in 0..header.number()? {
                header.number()?;
                let n = header.number()?;
                header.skip(n)?;
            }
        }
        header.number()?;
        let checksum_bytes = self::checksum_bytes(header.number()?)?;
        let n_pieces = header.number()?;
        let (mut pieces, mut dictionary) = (Vec::new(), None);
        // The first piece is the dictionary, which may be empty.
        for number in 0..n_pieces {
            if flags & HAS_STREAMS != 0 {
                header.number()?;
            }
            header.skip(checksum_bytes)?;
            if flags & HAS_UNCOMPRESSED_CHECKSUMS != 0 {
                header.skip(checksum_bytes)?;
            }
            let piece = Piece { packed: header.number()?, unpacked: header.number()? };
            if number == 0 { dictionary = Some(piece) } else { pieces.push(piece) }
        }
        let mut unpacked = Self { packed, zstd: None, pieces: pieces.into_iter(), piece: Vec::new(), at: 0 };
        match compression {
            COMPRESSION_NONE => {}
            COMPRESSION_ZSTD => unpacked.zstd = Some(Decompressor::new()?),
            other => return Err(invalid(&format!("it is packed in a way with the number {other}, which is not known"))),
        }
        if let Some(piece) = dictionary.filter(|piece| piece.packed > 0) {
            let dictionary = unpacked.read_piece(&piece)?;
            if let Some(zstd) = &mut unpacked.zstd {
                zstd.set_dictionary(&dictionary)?;
            }
        }
        Ok(unpacked)
    }

    fn read_piece(&mut self, piece: &Piece) -> io::Result<Vec<u8>> {
        let packed = read_exactly(&mut self.packed, piece.packed, PIECE_BYTES_MAX)?;
        let unpacked = match &mut self.zstd {
            Some(zstd) if piece.unpacked <= PIECE_BYTES_MAX => zstd.decompress(&packed, piece.unpacked)?,
            Some(_) => return Err(invalid("a piece unpacks to more than there is room for")),
            None => packed,
        };
        if unpacked.len() == piece.unpacked { Ok(unpacked) } else { Err(invalid("a piece is not as long as its header says")) }
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(piece) = self.pieces.next() else { return Ok(0) };
            self.piece = self.read_piece(&piece)?;
            self.at = 0;
        }
        let n_read = (&self.piece[self.at..]).read(buffer)?;
        self.at += n_read;
        Ok(n_read)
    }
}

struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn skip(&mut self, n: usize) -> io::Result<()> {
        self.0 = self.0.get(n..).ok_or_else(|| invalid("its header ends early"))?;
        Ok(())
    }

    fn number(&mut self) -> io::Result<usize> {
        read_number(&mut self.0)
    }
}

/// A number: seven bits in each byte, the lowest first; the highest bit marks the last byte.
fn read_number(input: &mut impl Read) -> io::Result<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        let bits = usize::from(byte[0] & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits).ok_or_else(|| invalid("a number in it is too large"))?;
        if byte[0] & 0x80 != 0 {
            return Ok(number);
        }
    }
    Err(invalid("a number in it is too large"))
}

/// How long a checksum of this kind is.
fn checksum_bytes(kind: usize) -> io::Result<usize> {
    [20, 32, 64, 16].get(kind).copied().ok_or_else(|| invalid("it has checksums of an unknown kind"))
}

fn read_exactly(input: &mut impl Read, n: usize, n_max: usize) -> io::Result<Vec<u8>> {
    if n > n_max {
        return Err(invalid("a part of it is larger than there is room for"));
    }
    let mut bytes = Vec::new();
    input.take(n as u64).read_to_end(&mut bytes)?;
    if bytes.len() == n { Ok(bytes) } else { Err(invalid("it ends early")) }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::Unpacked;

    /// A file with two pieces that are not packed.
    fn plain() -> Vec<u8> {
        let mut index = vec![0x80 | 3, 0x80 | 3];
        for piece in [0, 3, 2] {
            index.extend([7; 16]);
            index.extend([0x80 | piece, 0x80 | piece]);
        }
        let mut header = vec![9; 32];
        header.extend([0x80, 0x80, 0x80 | u8::try_from(index.len()).unwrap()]);
        header.extend(index);
        header.push(0x80);
        let mut file = b"\0ZCK1\x81".to_vec();
        file.push(0x80 | u8::try_from(header.len()).unwrap());
        file.extend([8; 32]);
        file.extend(header);
        file.extend(b"abcde");
        file
    }

    fn read(file: &[u8]) -> std::io::Result<String> {
        let mut text = String::new();
        Unpacked::new(file)?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn pieces_follow_one_another() {
        assert_eq!(read(&plain()).unwrap(), "abcde");
    }

    #[test]
    fn foreign_bytes_are_errors() {
        let file = plain();
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "cut at {end}");
        }
        for at in 0..file.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut changed = file.clone();
                changed[at] = byte;
                let _ = read(&changed);
            }
        }
    }
}
