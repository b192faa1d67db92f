//! Nodes: who they are, what changes with every report, their tags and what happened to them.

use domain::model::id::{AccountId, ActivationId, NodeId, RegionId};
use domain::model::node::{Allows, TagSource};
use domain::model::organization;
use domain::model::time::Timestamp;

use crate::reports::damaged_id;
use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// A node as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its number: small, and never given twice.
    pub number: u32,
    /// Its id.
    pub id: NodeId,
    /// Identity of the installation.
    pub machine: Option<String>,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// The region it is in.
    pub region_id: RegionId,
    /// What its own configuration lets be done to it.
    pub allows: Allows,
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// Serial number of its certificate; without one it cannot connect.
    pub certificate: Option<String>,
    /// When that expires.
    pub certificate_expires_at: Option<Timestamp>,
    /// What the agent keeps to be known again.
    pub identity: Option<String>,
    /// The activation that let it in.
    pub activation_id: Option<ActivationId>,
    /// The node that it is a copy of.
    pub clone_of: Option<NodeId>,
    /// The generation of the last order that was made for it.
    pub generation: u32,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

impl NodeRecord {
    /// A node that only has its number yet, in the default account and region.
    pub fn new(number: u32, id: NodeId, enrolled_at: Timestamp) -> Self {
        Self {
            number,
            id,
            machine: None,
            account_id: organization::default_account(),
            region_id: organization::default_region(),
            allows: Allows::SCAN,
            agent_version: None,
            certificate: None,
            certificate_expires_at: None,
            identity: None,
            activation_id: None,
            clone_of: None,
            generation: 0,
            enrolled_at,
            retired_at: None,
        }
    }
}

/// What changes with every report or contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// The node's number.
    pub node_number: u32,
    /// Host name.
    pub name: String,
    /// Which boot it reported from.
    pub boot: Option<String>,
    /// When it was last heard of.
    pub seen_at: Option<Timestamp>,
    /// Its last report that said something new.
    pub report_number: Option<u32>,
    /// When its inventory was last collected.
    pub collected_at: Option<Timestamp>,
    /// When its package lists were last refreshed.
    pub lists_refreshed_at: Option<Timestamp>,
    /// When it booted.
    pub booted_at: Option<Timestamp>,
}

/// A tag of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRecord {
    /// The node's number.
    pub node_number: u32,
    /// Who says so.
    pub source: TagSource,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node's number.
    pub node_number: u32,
    /// When.
    pub at: Timestamp,
    /// What kind of thing, such as `clone_detected`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

impl WriteTx {
    /// Adds a node, or replaces what is known of it.
    pub async fn upsert_node(&mut self, node: &NodeRecord) -> Result<(), StoreError> {
        let statement =
            sql("INSERT INTO nodes (number, id, machine, account_id, region_id, allows, agent_version, certificate, certificate_expires_at, identity, activation_id, clone_of, \
             generation, enrolled_at, retired_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
             ON CONFLICT (number) DO UPDATE SET machine = excluded.machine, account_id = excluded.account_id, region_id = excluded.region_id, allows = excluded.allows, \
             agent_version = excluded.agent_version, certificate = excluded.certificate, certificate_expires_at = excluded.certificate_expires_at, identity = excluded.identity, \
             activation_id = excluded.activation_id, clone_of = excluded.clone_of, generation = excluded.generation, retired_at = excluded.retired_at")
            .bind(node.number)
            .bind(node.id.as_str())
            .bind(node.machine.clone())
            .bind(node.account_id.as_str())
            .bind(node.region_id.as_str())
            .bind(node.allows.words())
            .bind(node.agent_version.clone())
            .bind(node.certificate.clone())
            .bind(node.certificate_expires_at.map(Timestamp::as_millis))
            .bind(node.identity.clone())
            .bind(node.activation_id.as_ref().map(ActivationId::as_str))
            .bind(node.clone_of.as_ref().map(NodeId::as_str))
            .bind(node.generation)
            .bind(node.enrolled_at.as_millis())
            .bind(node.retired_at.map(Timestamp::as_millis));
        self.execute(statement).await.map(|_| ())
    }

    /// Replaces the tags that one source gives a node.
    pub async fn replace_tags<'a>(&mut self, node_number: u32, source: TagSource, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM tags WHERE node_number = $1 AND tag_source = $2").bind(node_number).bind(source.word())).await?;
        let rows = tags.into_iter().map(|(key, value)| [node_number.into(), Value::from(source.word()), key.into(), value.into()]);
        self.insert_rows("INSERT INTO tags (node_number, tag_source, tag_key, tag_value) VALUES ", rows, "").await
    }

    /// Records what happened to a node.
    pub async fn append_node_event(&mut self, event: &NodeEvent) -> Result<(), StoreError> {
        crate::dialect::lock_for_append(self, "node_events").await?;
        let statement = sql("INSERT INTO node_events (number, node_number, at, kind, detail) SELECT COALESCE(MAX(number) + 1, 0), $1, $2, $3, $4 FROM node_events")
            .bind(event.node_number)
            .bind(event.at.as_millis())
            .bind(&event.kind)
            .bind(&event.detail);
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// Every node, by number.
    pub async fn list_nodes(&mut self) -> Result<Vec<NodeRecord>, StoreError> {
        self.list(sql("SELECT * FROM nodes ORDER BY number"), node).await
    }

    /// What every node was like when it was last written down.
    pub async fn list_node_states(&mut self) -> Result<Vec<NodeState>, StoreError> {
        self.list(sql("SELECT * FROM node_states ORDER BY node_number"), state).await
    }

    /// Every tag.
    pub async fn list_tags(&mut self) -> Result<Vec<TagRecord>, StoreError> {
        self.list(sql("SELECT * FROM tags ORDER BY node_number, tag_key, tag_source"), tag).await
    }

    /// The tags of these nodes.
    pub async fn list_tags_of(&mut self, node_numbers: &[u32]) -> Result<Vec<TagRecord>, StoreError> {
        let mut tags = Vec::new();
        for number in node_numbers {
            let rows = self.rows(sql("SELECT * FROM tags WHERE node_number = $1 ORDER BY tag_key, tag_source").bind(*number)).await?;
            tags.extend(rows.iter().map(tag).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(tags)
    }

    /// What happened to a node, newest first.
    pub async fn list_node_events(&mut self, node_number: u32, limit: u32) -> Result<Vec<NodeEvent>, StoreError> {
        self.list(sql("SELECT * FROM node_events WHERE node_number = $1 ORDER BY number DESC LIMIT $2").bind(node_number).bind(limit), |row| {
            Ok(NodeEvent { node_number, at: Timestamp::from_millis(row.get("at")?), kind: row.get("kind")?, detail: row.get("detail")? })
        })
        .await
    }
}

fn tag(row: &Row) -> Result<TagRecord, StoreError> {
    let source: String = row.get("tag_source")?;
    let source = TagSource::parse(&source).ok_or(StoreError::Damaged { what: "tag source", detail: source })?;
    Ok(TagRecord { node_number: row.count("node_number")?, source, key: row.get("tag_key")?, value: row.get("tag_value")? })
}

fn node(row: &Row) -> Result<NodeRecord, StoreError> {
    let id = |column: &str| row.get::<String>(column);
    let allows: String = row.get("allows")?;
    Ok(NodeRecord {
        number: row.count("number")?,
        id: id("id")?.parse().map_err(|error| damaged_id(&error))?,
        machine: row.get("machine")?,
        account_id: id("account_id")?.parse().map_err(|error| damaged_id(&error))?,
        region_id: id("region_id")?.parse().map_err(|error| damaged_id(&error))?,
        allows: Allows::parse(&allows).map_err(|error| StoreError::Damaged { what: "node", detail: error.to_string() })?,
        agent_version: row.get("agent_version")?,
        certificate: row.get("certificate")?,
        certificate_expires_at: time(row, "certificate_expires_at")?,
        identity: row.get("identity")?,
        activation_id: row.get::<Option<String>>("activation_id")?.map(|id| id.parse().map_err(|error| damaged_id(&error))).transpose()?,
        clone_of: row.get::<Option<String>>("clone_of")?.map(|id| id.parse().map_err(|error| damaged_id(&error))).transpose()?,
        generation: row.count("generation")?,
        enrolled_at: Timestamp::from_millis(row.get("enrolled_at")?),
        retired_at: time(row, "retired_at")?,
    })
}

fn state(row: &Row) -> Result<NodeState, StoreError> {
    let report_number: Option<i64> = row.get("report_number")?;
    Ok(NodeState {
        node_number: row.count("node_number")?,
        name: row.get("name")?,
        boot: row.get("boot")?,
        seen_at: time(row, "seen_at")?,
        report_number: report_number.and_then(|number| u32::try_from(number).ok()),
        collected_at: time(row, "collected_at")?,
        lists_refreshed_at: time(row, "lists_refreshed_at")?,
        booted_at: time(row, "booted_at")?,
    })
}

fn time(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
}
