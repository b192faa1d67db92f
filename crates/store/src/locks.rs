//! Locks that expire: of reboot groups, and the lease of the server that leads.

use domain::model::reboot_group::RebootLock;
use domain::model::time::Timestamp;

use crate::dialect;
use crate::sql::{ReadTx, StoreError, WriteTx, sql};

impl WriteTx {
    /// Keeps others from taking a lock of a group until this transaction ends.
    pub async fn begin_reboot_locks(&mut self) -> Result<(), StoreError> {
        dialect::lock_for_append(self, "reboot_locks").await
    }

    /// Gives a holder a lock of a group, or makes its lock last longer; what expired is forgotten.
    pub async fn upsert_reboot_lock(&mut self, group: &str, lock: &RebootLock) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM reboot_locks WHERE expires_at <= $1").bind(lock.taken_at.as_millis())).await?;
        let statement = sql("INSERT INTO reboot_locks (group_name, holder, taken_at, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (group_name, holder) DO UPDATE SET expires_at = excluded.expires_at")
        .bind(group)
        .bind(&lock.holder)
        .bind(lock.taken_at.as_millis())
        .bind(lock.expires_at.as_millis());
        self.execute(statement).await.map(|_| ())
    }

    /// Takes a holder's lock of a group away; whether it had one.
    pub async fn delete_reboot_lock(&mut self, group: &str, holder: &str) -> Result<bool, StoreError> {
        let statement = sql("DELETE FROM reboot_locks WHERE group_name = $1 AND holder = $2").bind(group).bind(holder);
        Ok(self.execute(statement).await? > 0)
    }

    /// Takes a lease, or makes it last longer, unless another holds it.
    pub async fn take_lease(&mut self, name: &str, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let statement = sql("INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $4) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at WHERE leases.holder = $2 OR leases.expires_at <= $3")
        .bind(name)
        .bind(holder)
        .bind(now.as_millis())
        .bind(until.as_millis());
        Ok(self.execute(statement).await? == 1)
    }

    /// Gives a lease back.
    pub async fn give_lease_back(&mut self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder)).await.map(|_| ())
    }
}

impl ReadTx {
    /// Locks of reboot groups, with the group of each, whether they have expired or not.
    pub async fn list_reboot_locks(&mut self) -> Result<Vec<(String, RebootLock)>, StoreError> {
        self.list(sql("SELECT * FROM reboot_locks ORDER BY group_name, holder"), |row| {
            let lock =
                RebootLock { holder: row.get("holder")?, taken_at: Timestamp::from_millis(row.get("taken_at")?), expires_at: Timestamp::from_millis(row.get("expires_at")?) };
            Ok((row.get("group_name")?, lock))
        })
        .await
    }

    /// Who holds a lease, and until when.
    pub async fn find_lease(&mut self, name: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
        let row = self.optional(sql("SELECT * FROM leases WHERE name = $1").bind(name)).await?;
        row.map(|row| Ok((row.get("holder")?, Timestamp::from_millis(row.get("expires_at")?)))).transpose()
    }
}
