//! What nodes were judged to be over time, and by what.

use domain::model::compliance::{Counts, Verdict};
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// What judged: a version of a baseline, through a patch group or a default. Without a baseline all is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct VerdictAssignment {
    /// The baseline.
    pub baseline_id: String,
    /// Its version.
    pub version: u32,
    /// Through what it applied, in words.
    pub through: String,
}

/// What a node was judged to be from a minute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerdictRecord {
    /// The node's number.
    pub node_number: u32,
    /// Minutes since 1970.
    pub minute: u32,
    /// The number of what judged it.
    pub assignment: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// Patches by state.
    pub counts: Counts,
}

const NODE_SHIFT: u32 = 32;

impl VerdictRecord {
    /// Since when it was so.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.minute) * 60_000)
    }

    fn number(&self) -> i64 {
        first_of(self.node_number) + i64::from(self.minute)
    }
}

/// The minute of an instant.
pub fn minute_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis() / 60_000).unwrap_or_default()
}

fn first_of(node_number: u32) -> i64 {
    i64::from(node_number) << NODE_SHIFT
}

impl WriteTx {
    /// Writes verdicts; of two in a minute the later counts.
    pub async fn upsert_verdicts(&mut self, records: &[VerdictRecord]) -> Result<(), StoreError> {
        let rows = records.iter().map(|record| [record.number().into(), record.assignment.into(), Value::from(pack(record))]);
        let tail = " ON CONFLICT (number) DO UPDATE SET assignment = excluded.assignment, record = excluded.record";
        self.insert_rows("INSERT INTO verdicts (number, assignment, record) VALUES ", rows, tail).await
    }

    /// Adds something that judges.
    pub async fn insert_verdict_assignment(&mut self, number: u32, assignment: &VerdictAssignment) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO verdict_assignments (number, baseline_id, version, through) VALUES ($1, $2, $3, $4)")
            .bind(number)
            .bind(&assignment.baseline_id)
            .bind(assignment.version)
            .bind(&assignment.through);
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// Everything that ever judged, by number from 0.
    pub async fn list_verdict_assignments(&mut self) -> Result<Vec<VerdictAssignment>, StoreError> {
        self.list(sql("SELECT * FROM verdict_assignments ORDER BY number"), |row| {
            Ok(VerdictAssignment { baseline_id: row.get("baseline_id")?, version: row.count("version")?, through: row.get("through")? })
        })
        .await
    }

    /// A node's verdicts up to a minute, newest first.
    pub async fn list_verdicts(&mut self, node_number: u32, up_to_minute: u32, limit: u32) -> Result<Vec<VerdictRecord>, StoreError> {
        let first = first_of(node_number);
        let statement = sql("SELECT * FROM verdicts WHERE number BETWEEN $1 AND $2 ORDER BY number DESC LIMIT $3").bind(first).bind(first + i64::from(up_to_minute)).bind(limit);
        self.list(statement, read).await
    }

    /// The last verdict of every node.
    pub async fn list_last_verdicts(&mut self) -> Result<Vec<VerdictRecord>, StoreError> {
        let last = "SELECT v.* FROM verdicts v JOIN (SELECT MAX(number) AS number FROM verdicts GROUP BY number / 4294967296) l ON l.number = v.number";
        self.list(sql(last), read).await
    }
}

fn read(row: &Row) -> Result<VerdictRecord, StoreError> {
    let number: i64 = row.get("number")?;
    let damaged = || StoreError::Damaged { what: "verdict", detail: format!("{number}") };
    let record: Vec<u8> = row.get("record")?;
    let (verdict, counts) = unpack(&record).ok_or_else(damaged)?;
    let part = |value: i64| u32::try_from(value).map_err(|_| damaged());
    Ok(VerdictRecord { node_number: part(number >> NODE_SHIFT)?, minute: part(number & i64::from(u32::MAX))?, assignment: row.count("assignment")?, verdict, counts })
}

/// The verdict, and its counts in as few bytes as they need.
fn pack(record: &VerdictRecord) -> Vec<u8> {
    let mut bytes = vec![record.verdict as u8];
    for mut count in record.counts.numbers() {
        while count >= 0x80 {
            bytes.push(u8::try_from(count & 0x7f).unwrap_or_default() | 0x80);
            count >>= 7;
        }
        bytes.push(u8::try_from(count).unwrap_or_default());
    }
    bytes
}

fn unpack(bytes: &[u8]) -> Option<(Verdict, Counts)> {
    let (verdict, mut rest) = bytes.split_first()?;
    let verdict = Verdict::ALL.into_iter().find(|known| *known as u8 == *verdict)?;
    let mut read = || {
        let (mut count, mut shift) = (0_u32, 0);
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            count |= u32::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(count);
            }
        }
    };
    let mut numbers = [0; 9];
    for number in &mut numbers {
        *number = read()?;
    }
    Some((verdict, Counts::of_numbers(numbers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_and_foreign_bytes_do_not() {
        for n in [0, 1, 127, 128, 20_000, u32::MAX] {
            let counts = Counts { missing: n, installed_other: n, critical_non_compliant: n, ..Counts::default() };
            for verdict in Verdict::ALL {
                let record = VerdictRecord { node_number: 7, minute: 9, assignment: 0, verdict, counts };
                assert_eq!(unpack(&pack(&record)), Some((verdict, counts)));
            }
        }
        for foreign in [&[][..], &[0], &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(unpack(foreign), None);
        }
    }
}
