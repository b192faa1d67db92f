//! Reports: what nodes said and when, by the numbers of their sections' contents.

use std::collections::BTreeMap;

use domain::model::id::IdError;
use domain::model::section::{PerSection, Section};
use domain::model::time::Timestamp;

use crate::nodes::NodeState;
use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// A report that said something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRecord {
    /// Its number.
    pub number: u32,
    /// The node's number.
    pub node_number: u32,
    /// When the node collected it.
    pub collected_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The numbers of its sections' contents.
    pub sections: PerSection<u32>,
}

/// That a node was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckIn {
    /// The node's number.
    pub node_number: u32,
    /// When it collected its inventory.
    pub collected_at: Timestamp,
    /// When its package lists were last refreshed.
    pub lists_refreshed_at: Option<Timestamp>,
}

const CHECK_IN_BYTES: usize = 20;

impl WriteTx {
    /// Stores reports.
    pub async fn insert_reports(&mut self, reports: &[ReportRecord]) -> Result<(), StoreError> {
        let rows = reports.iter().map(|report| {
            let sections: Vec<u8> = report.sections.0.iter().flat_map(|number| number.to_le_bytes()).collect();
            [report.number.into(), report.node_number.into(), Value::from(report.collected_at.as_millis()), report.received_at.as_millis().into(), sections.into()]
        });
        self.insert_rows("INSERT INTO reports (number, node_number, collected_at, received_at, sections) VALUES ", rows, "").await
    }

    /// Stores what nodes were like at their last reports.
    pub async fn upsert_node_states(&mut self, states: &[NodeState]) -> Result<(), StoreError> {
        let rows = states.iter().map(|state| {
            let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis).into();
            [
                state.node_number.into(),
                Value::from(&state.name),
                state.boot.clone().into(),
                millis(state.seen_at),
                state.report_number.map(i64::from).into(),
                millis(state.collected_at),
                millis(state.lists_refreshed_at),
                millis(state.booted_at),
            ]
        });
        let head = "INSERT INTO node_states (node_number, name, boot, seen_at, report_number, collected_at, lists_refreshed_at, booted_at) VALUES ";
        let tail = " ON CONFLICT (node_number) DO UPDATE SET name = excluded.name, boot = excluded.boot, seen_at = excluded.seen_at, report_number = excluded.report_number, \
             collected_at = excluded.collected_at, lists_refreshed_at = excluded.lists_refreshed_at, booted_at = excluded.booted_at";
        self.insert_rows(head, rows, tail).await
    }

    /// Stores check-ins, all in one row. `first_report` is the number that the first report beside them
    /// has, or the next one will have.
    pub async fn append_check_ins(&mut self, sequence: i64, first_report: u32, check_ins: &[CheckIn]) -> Result<(), StoreError> {
        let mut content = Vec::with_capacity(check_ins.len() * CHECK_IN_BYTES);
        for check_in in check_ins {
            content.extend_from_slice(&check_in.node_number.to_le_bytes());
            content.extend_from_slice(&check_in.collected_at.as_millis().to_le_bytes());
            content.extend_from_slice(&check_in.lists_refreshed_at.map_or(i64::MIN, Timestamp::as_millis).to_le_bytes());
        }
        self.execute(sql("INSERT INTO check_ins (sequence, first_report, content) VALUES ($1, $2, $3)").bind(sequence).bind(first_report).bind(content)).await.map(|_| ())
    }

    /// Forgets check-ins that `node_states` holds.
    pub async fn delete_check_ins(&mut self, up_to: i64) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM check_ins WHERE sequence <= $1").bind(up_to)).await.map(|_| ())
    }
}

impl ReadTx {
    /// The last report of each node: the one that its state refers to, or one that came since states
    /// were written.
    pub async fn list_current_reports(&mut self) -> Result<Vec<ReportRecord>, StoreError> {
        let mut current = BTreeMap::new();
        let stored = sql("SELECT reports.* FROM node_states JOIN reports ON reports.number = node_states.report_number");
        let later = sql("SELECT * FROM reports WHERE number >= (SELECT MIN(first_report) FROM check_ins) ORDER BY number");
        for statement in [stored, later] {
            let reports: Vec<_> = self.list(statement, report).await?;
            current.extend(reports.into_iter().map(|report| (report.node_number, report)));
        }
        Ok(current.into_values().collect())
    }

    /// The number that the next report gets.
    pub async fn next_report_number(&mut self) -> Result<u32, StoreError> {
        let row = self.optional(sql("SELECT COALESCE(MAX(number) + 1, 0) AS next FROM reports")).await?;
        row.map_or(Ok(0), |row| row.count("next"))
    }

    /// Reports of a node, newest first.
    pub async fn list_reports(&mut self, node_number: u32, before: Option<u32>, limit: u32) -> Result<Vec<ReportRecord>, StoreError> {
        let mut statement = sql("SELECT * FROM reports");
        statement.push(" WHERE node_number = ?", node_number);
        if let Some(before) = before {
            statement.push(" AND number < ?", before);
        }
        statement.push(" ORDER BY number DESC LIMIT ?", limit);
        self.list(statement, report).await
    }

    /// What a node was like at an instant: the last report that it had collected by then.
    pub async fn find_report_at(&mut self, node_number: u32, at: Timestamp) -> Result<Option<ReportRecord>, StoreError> {
        let statement = sql("SELECT * FROM reports WHERE node_number = $1 AND collected_at <= $2 ORDER BY collected_at DESC, number DESC LIMIT 1");
        self.optional(statement.bind(node_number).bind(at.as_millis())).await?.as_ref().map(report).transpose()
    }

    /// Check-ins that `node_states` does not hold, oldest first, and the last sequence.
    pub async fn list_check_ins(&mut self) -> Result<(i64, Vec<CheckIn>), StoreError> {
        let rows = self.rows(sql("SELECT sequence, content FROM check_ins ORDER BY sequence")).await?;
        let mut check_ins = Vec::new();
        let mut last = 0;
        for row in &rows {
            last = row.get("sequence")?;
            let content: Vec<u8> = row.get("content")?;
            let (chunks, rest) = content.as_chunks::<CHECK_IN_BYTES>();
            if !rest.is_empty() {
                return Err(StoreError::Damaged { what: "check-in", detail: format!("row {last} has {} bytes", content.len()) });
            }
            check_ins.extend(chunks.iter().map(check_in));
        }
        Ok((last, check_ins))
    }
}

fn check_in(bytes: &[u8; CHECK_IN_BYTES]) -> CheckIn {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[..4]);
    let millis = |at: usize| {
        let mut millis = [0; 8];
        millis.copy_from_slice(&bytes[at..at + 8]);
        i64::from_le_bytes(millis)
    };
    let lists_refreshed_at = Some(millis(12)).filter(|millis| *millis != i64::MIN).map(Timestamp::from_millis);
    CheckIn { node_number: u32::from_le_bytes(number), collected_at: Timestamp::from_millis(millis(4)), lists_refreshed_at }
}

fn report(row: &Row) -> Result<ReportRecord, StoreError> {
    let packed: Vec<u8> = row.get("sections")?;
    let numbers: Vec<u32> = packed.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let sections: [u32; Section::COUNT] =
        numbers.try_into().map_err(|numbers: Vec<u32>| StoreError::Damaged { what: "report", detail: format!("it has {} sections", numbers.len()) })?;
    Ok(ReportRecord {
        number: row.count("number")?,
        node_number: row.count("node_number")?,
        collected_at: Timestamp::from_millis(row.get("collected_at")?),
        received_at: Timestamp::from_millis(row.get("received_at")?),
        sections: PerSection(sections),
    })
}

/// A stored id that does not read.
pub(crate) fn damaged_id(error: &IdError) -> StoreError {
    StoreError::Damaged { what: "id", detail: error.to_string() }
}
