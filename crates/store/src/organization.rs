//! The organization: units, accounts and regions; and the activations that let nodes into them.

use std::collections::BTreeMap;

use domain::model::activation::Activation;
use domain::model::digest::Digest;
use domain::model::id::{AccountId, ActivationId, RegionId, UnitId};
use domain::model::organization::{Account, Region, Unit};
use domain::model::time::Timestamp;

use crate::reports::damaged_id;
use crate::sql::{ReadTx, Row, StoreError, WriteTx, sql};

impl WriteTx {
    /// Adds a unit, or replaces its name and place.
    pub async fn upsert_unit(&mut self, unit: &Unit) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO units (id, parent_id, name) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name");
        self.execute(statement.bind(unit.id.as_str()).bind(unit.parent_id.as_ref().map(UnitId::as_str)).bind(&unit.name)).await.map(|_| ())
    }

    /// Adds an account, or replaces its name and place.
    pub async fn upsert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO accounts (id, unit_id, name) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET unit_id = excluded.unit_id, name = excluded.name");
        self.execute(statement.bind(account.id.as_str()).bind(account.unit_id.as_str()).bind(&account.name)).await.map(|_| ())
    }

    /// Adds a region.
    pub async fn upsert_region(&mut self, region: &Region) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO regions (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name");
        self.execute(statement.bind(region.id.as_str()).bind(&region.name)).await.map(|_| ())
    }

    /// Adds an activation under the digest of its secret.
    pub async fn insert_activation(&mut self, activation: &Activation, secret: &Digest) -> Result<(), StoreError> {
        let statement =
            sql("INSERT INTO activations (id, description, secret_digest, account_id, region_id, tags, node_limit, n_enrolled, created_by, created_at, expires_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
            .bind(activation.id.as_str())
            .bind(&activation.description)
            .bind(secret.to_string())
            .bind(activation.account_id.as_str())
            .bind(activation.region_id.as_str())
            .bind(serde_json::to_string(&activation.tags).expect("tags are texts"))
            .bind(activation.node_limit)
            .bind(activation.n_enrolled)
            .bind(&activation.created_by)
            .bind(activation.created_at.as_millis())
            .bind(activation.expires_at.as_millis())
            .bind(activation.revoked_at.map(Timestamp::as_millis));
        self.execute(statement).await.map(|_| ())
    }

    /// Counts one more node; whether there was room. Two enrolments cannot take the same place.
    pub async fn use_activation(&mut self, id: &ActivationId) -> Result<bool, StoreError> {
        let statement = sql("UPDATE activations SET n_enrolled = n_enrolled + 1 WHERE id = $1 AND n_enrolled < node_limit").bind(id.as_str());
        Ok(self.execute(statement).await? == 1)
    }

    /// Ends an activation; whether it was open.
    pub async fn revoke_activation(&mut self, id: &ActivationId, now: Timestamp) -> Result<bool, StoreError> {
        let statement = sql("UPDATE activations SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL").bind(now.as_millis()).bind(id.as_str());
        Ok(self.execute(statement).await? == 1)
    }
}

impl ReadTx {
    /// Every unit.
    pub async fn list_units(&mut self) -> Result<Vec<Unit>, StoreError> {
        self.list(sql("SELECT * FROM units ORDER BY name, id"), |row| {
            let parent_id: Option<String> = row.get("parent_id")?;
            let parent_id = parent_id.map(|id| id.parse().map_err(|error| damaged_id(&error))).transpose()?;
            Ok(Unit { id: row.get::<String>("id")?.parse().map_err(|error| damaged_id(&error))?, parent_id, name: row.get("name")? })
        })
        .await
    }

    /// Every account.
    pub async fn list_accounts(&mut self) -> Result<Vec<Account>, StoreError> {
        self.list(sql("SELECT * FROM accounts ORDER BY name"), |row| {
            let unit_id = row.get::<String>("unit_id")?.parse().map_err(|error| damaged_id(&error))?;
            Ok(Account { id: account_id(row, "id")?, unit_id, name: row.get("name")? })
        })
        .await
    }

    /// Every region.
    pub async fn list_regions(&mut self) -> Result<Vec<Region>, StoreError> {
        self.list(sql("SELECT * FROM regions ORDER BY name"), |row| Ok(Region { id: region_id(row, "id")?, name: row.get("name")? })).await
    }

    /// Every activation, newest first.
    pub async fn list_activations(&mut self) -> Result<Vec<Activation>, StoreError> {
        self.list(sql("SELECT * FROM activations ORDER BY id DESC"), activation).await
    }

    /// An activation by id.
    pub async fn find_activation(&mut self, id: &ActivationId) -> Result<Option<Activation>, StoreError> {
        self.optional(sql("SELECT * FROM activations WHERE id = $1").bind(id.as_str())).await?.as_ref().map(activation).transpose()
    }

    /// An activation by its secret.
    pub async fn find_activation_by_secret(&mut self, secret: &Digest) -> Result<Option<Activation>, StoreError> {
        self.optional(sql("SELECT * FROM activations WHERE secret_digest = $1").bind(secret.to_string())).await?.as_ref().map(activation).transpose()
    }
}

fn account_id(row: &Row, column: &str) -> Result<AccountId, StoreError> {
    row.get::<String>(column)?.parse().map_err(|error| damaged_id(&error))
}

fn region_id(row: &Row, column: &str) -> Result<RegionId, StoreError> {
    row.get::<String>(column)?.parse().map_err(|error| damaged_id(&error))
}

fn activation(row: &Row) -> Result<Activation, StoreError> {
    let tags: String = row.get("tags")?;
    let tags: BTreeMap<String, String> = serde_json::from_str(&tags).map_err(|error| StoreError::Damaged { what: "activation", detail: error.to_string() })?;
    Ok(Activation {
        id: row.get::<String>("id")?.parse().map_err(|error| damaged_id(&error))?,
        description: row.get("description")?,
        account_id: account_id(row, "account_id")?,
        region_id: region_id(row, "region_id")?,
        tags,
        node_limit: row.count("node_limit")?,
        n_enrolled: row.count("n_enrolled")?,
        created_by: row.get("created_by")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
        revoked_at: row.get::<Option<i64>>("revoked_at")?.map(Timestamp::from_millis),
    })
}
