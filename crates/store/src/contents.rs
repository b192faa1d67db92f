//! Contents of reports' sections, stored once: whole, or as an edit of an earlier one.

use std::cell::RefCell;
use std::collections::HashMap;

use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::time::Timestamp;
use zstd::bulk::{Compressor, Decompressor};

use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// A content to store.
#[derive(Debug, Clone)]
pub struct NewContent {
    /// Its number.
    pub number: u32,
    /// Its digest.
    pub digest: Digest,
    /// Whole, or what it changes.
    pub body: ContentBody,
    /// When it was first reported.
    pub first_seen_at: Timestamp,
}

/// How a content is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentBody {
    /// The whole text.
    Whole(String),
    /// An edit of another content.
    Edit {
        /// The number of the other.
        of: u32,
        /// Removed and added lines.
        edit: String,
    },
}

/// Most bytes that stored content may unpack to.
const UNPACKED_BYTES_MAX: usize = domain::model::content::CONTENT_BYTES_MAX;
const LEVEL: i32 = 3;
/// Shorter texts gain nothing from packing.
const PACKED_BYTES_MIN: usize = 96;
/// The first byte says how the rest is stored.
const PLAIN: u8 = 0;
const PACKED: u8 = 1;

thread_local! {
    // Making one costs more than a short text does.
    static PACKING: RefCell<Compressor<'static>> = RefCell::new(Compressor::new(LEVEL).expect("the level is one of zstd's"));
    static UNPACKING: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::new().expect("only memory could be missing"));
}

fn pack(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let packed = if bytes.len() < PACKED_BYTES_MIN { None } else { PACKING.with_borrow_mut(|packing| packing.compress(bytes)).ok().filter(|packed| packed.len() < bytes.len()) };
    let (mark, body) = packed.as_ref().map_or((PLAIN, bytes), |packed| (PACKED, packed.as_slice()));
    [&[mark], body].concat()
}

fn unpack(stored: &[u8]) -> Result<String, StoreError> {
    let damaged = |detail: String| StoreError::Damaged { what: "content", detail };
    let bytes = match stored.split_first() {
        Some((&PLAIN, body)) => body.to_vec(),
        Some((&PACKED, body)) => {
            // What is packed says how long it is; room for the longest would be taken for each of many.
            let length = zstd::zstd_safe::get_frame_content_size(body).ok().flatten().and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| *length <= UNPACKED_BYTES_MAX).ok_or_else(|| damaged("it does not say how long it is, or is too long".to_owned()))?;
            UNPACKING.with_borrow_mut(|unpacking| unpacking.decompress(body, length)).map_err(|error| damaged(error.to_string()))?
        }
        _ => return Err(damaged("it begins with no known mark".to_owned())),
    };
    String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))
}

impl WriteTx {
    /// Stores contents.
    pub async fn insert_contents(&mut self, contents: &[NewContent]) -> Result<(), StoreError> {
        let rows = contents.iter().map(|content| {
            let (edit_of, text) = match &content.body {
                ContentBody::Whole(text) => (None, text),
                ContentBody::Edit { of, edit } => (Some(i64::from(*of)), edit),
            };
            [content.number.into(), Value::from(content.digest.as_bytes().to_vec()), edit_of.into(), pack(text).into(), content.first_seen_at.as_millis().into()]
        });
        self.insert_rows("INSERT INTO contents (number, digest, edit_of, content, first_seen_at) VALUES ", rows, "").await
    }
}

impl ReadTx {
    /// Numbers and digests of all contents, and which each is an edit of.
    pub async fn list_contents(&mut self) -> Result<Vec<(u32, Digest, Option<u32>)>, StoreError> {
        self.list(sql("SELECT number, digest, edit_of FROM contents ORDER BY number"), |row| Ok((row.count("number")?, digest(row)?, edit_of(row)?))).await
    }

    /// The text of a content, following its edits.
    pub async fn find_content(&mut self, number: u32) -> Result<Content, StoreError> {
        let mut edits = Vec::new();
        let mut at = number;
        let mut content = loop {
            match self.find_body(at).await? {
                ContentBody::Whole(text) => break Content::parse(text).map_err(damaged)?,
                ContentBody::Edit { of, edit } => {
                    // An edit refers to what was there before it, so this comes to an end.
                    if of >= at {
                        return Err(StoreError::Damaged { what: "content", detail: format!("content {at} is an edit of {of}") });
                    }
                    edits.push(edit);
                    at = of;
                }
            }
        };
        for edit in edits.iter().rev() {
            content = content.apply(edit).map_err(damaged)?;
        }
        Ok(content)
    }

    /// How a content is stored.
    pub async fn find_body(&mut self, number: u32) -> Result<ContentBody, StoreError> {
        let row = self.optional(sql("SELECT edit_of, content FROM contents WHERE number = $1").bind(number)).await?;
        body(&row.ok_or_else(|| StoreError::Damaged { what: "content", detail: format!("content {number} is missing") })?)
    }

    /// How every content is stored, by number.
    pub async fn list_bodies(&mut self) -> Result<HashMap<u32, ContentBody>, StoreError> {
        self.list(sql("SELECT number, edit_of, content FROM contents"), |row| Ok((row.count("number")?, body(row)?))).await
    }
}

fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "content", detail: error.to_string() }
}

fn edit_of(row: &Row) -> Result<Option<u32>, StoreError> {
    let number: Option<i64> = row.get("edit_of")?;
    number.map(|number| u32::try_from(number).map_err(damaged)).transpose()
}

fn body(row: &Row) -> Result<ContentBody, StoreError> {
    let text = unpack(&row.get::<Vec<u8>>("content")?)?;
    Ok(match edit_of(row)? {
        Some(of) => ContentBody::Edit { of, edit: text },
        None => ContentBody::Whole(text),
    })
}

fn digest(row: &Row) -> Result<Digest, StoreError> {
    let bytes: Vec<u8> = row.get("digest")?;
    bytes.try_into().map(Digest::from_bytes).map_err(|bytes: Vec<u8>| damaged(format!("a digest has {} bytes", bytes.len())))
}
