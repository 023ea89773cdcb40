/// Ends the head of the HTTP response that opens a WebSocket.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The longest header of a frame that is not masked.
const HEADER_BYTES: usize = 10;

/// How far the bytes of a connection have been read. It tells where frames end, so that no read goes further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// Within the HTTP response. The number of bytes of [`END_OF_HEAD`] that came last.
    Upgrade { matched: usize },
    /// Within the header of a frame, of which the first `length` bytes are known.
    Header {
        bytes: [u8; HEADER_BYTES],
        length: usize,
    },
    /// Within the payload of a frame.
    Payload { left: u64 },
}

/// What a header tells about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_bytes: u64,
    /// Whether it is a ping, a pong or a close, which may come within a message.
    pub(super) is_control: bool,
}

impl Position {
    /// Before the HTTP response.
    pub(super) const UPGRADE: Self = Self::Upgrade { matched: 0 };

    /// The position between two frames, where the next header begins.
    pub(super) const FRAME: Self = Self::Header {
        bytes: [0; HEADER_BYTES],
        length: 0,
    };

    /// Most bytes to read next, at least 1. `None`: it cannot be told; read as much as there is.
    pub(super) fn bytes_wanted(&self) -> Option<usize> {
        match self {
            Self::Upgrade { .. } => None,
            Self::Header { bytes, length } => Some(header_length(bytes, *length) - length),
            Self::Payload { left } => Some(usize::try_from(*left).unwrap_or(usize::MAX)),
        }
    }

    /// Moves on over `read`, which is no longer than [`Position::bytes_wanted`]. Returns the header when it is complete.
    pub(super) fn advance(&mut self, read: &[u8]) -> Option<Header> {
        match self {
            Self::Upgrade { .. } => None,
            Self::Header { bytes, length } => {
                let end = *length + read.len();
                bytes[*length..end].copy_from_slice(read);
                *length = end;
                if end < header_length(bytes, end) {
                    return None;
                }
                let header = Header::of(bytes);
                *self = Self::payload(header.payload_bytes);
                Some(header)
            }
            Self::Payload { left } => {
                let left = left.saturating_sub(read.len() as u64);
                *self = Self::payload(left);
                None
            }
        }
    }

    /// Looks for the end of the HTTP response in `read`. If it is there, moves on to the first frame and returns how
    /// many bytes of `read` belong to the response.
    pub(super) fn end_of_upgrade(&mut self, read: &[u8]) -> Option<usize> {
        let Self::Upgrade { matched } = self else {
            return Some(0);
        };
        for (index, byte) in read.iter().enumerate() {
            *matched = match END_OF_HEAD.get(*matched) {
                Some(expected) if expected == byte => *matched + 1,
                Some(_) | None => usize::from(END_OF_HEAD.first() == Some(byte)),
            };
            if *matched == END_OF_HEAD.len() {
                *self = Self::FRAME;
                return Some(index + 1);
            }
        }
        None
    }

    const fn payload(left: u64) -> Self {
        if left == 0 {
            Self::FRAME
        } else {
            Self::Payload { left }
        }
    }
}

/// The length of a header (RFC 6455, 5.2) of which `length` bytes are known. A mask is not counted: a server's frames
/// have none.
fn header_length(bytes: &[u8; HEADER_BYTES], length: usize) -> usize {
    if length < 2 {
        return 2;
    }
    match bytes[1] & 0x7f {
        126 => 4,
        127 => HEADER_BYTES,
        _ => 2,
    }
}

impl Header {
    fn of(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [first, short, long @ ..] = *bytes;
        Self {
            payload_bytes: match short & 0x7f {
                126 => u16::from_be_bytes([long[0], long[1]]).into(),
                127 => u64::from_be_bytes(long),
                short => short.into(),
            },
            is_control: first & 0x08 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_a_frame_is_read_from_its_header() {
        let cases: [(&[u8], u64); 4] = [
            (&[0x81, 0], 0),
            (&[0x81, 125], 125),
            (&[0x81, 126, 1, 0], 256),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        ];
        for (header, payload) in cases {
            let mut position = Position::FRAME;
            let mut rest = header;
            let mut found = None;
            while !rest.is_empty() {
                assert_eq!(found, None);
                let (now, later) = rest.split_at(position.bytes_wanted().unwrap());
                found = position.advance(now);
                rest = later;
            }
            assert_eq!(
                found,
                Some(Header {
                    payload_bytes: payload,
                    is_control: false
                })
            );
            let next = if payload > 0 { payload } else { 2 };
            assert_eq!(position.bytes_wanted(), usize::try_from(next).ok());
        }
    }

    #[test]
    fn the_first_frame_begins_where_the_http_response_ends() {
        let mut position = Position::UPGRADE;

        assert_eq!(position.end_of_upgrade(b"HTTP/1.1 101\r\nA: b\r\n"), None);
        assert_eq!(position.end_of_upgrade(b"\r\r\n\r"), None);
        assert_eq!(position.end_of_upgrade(b"\n\x81\x05hello"), Some(1));
        assert_eq!(position, Position::FRAME);
    }
}
