//! What keys were traded for. A node knows its own only: nobody else takes them.

use entity::access_grant::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::api_key::{hex, unhex};
use super::cells::Cells;
use super::{Store, StoreError};
use crate::domain::StreamId;
use crate::domain::access::{Grant, GrantKind, SecretDigest};
use crate::domain::id::NodeId;
use crate::domain::time::{Timestamp, micros};

impl Store {
    pub async fn insert_grant(&self, node_id: NodeId, grant: &Grant) -> Result<(), StoreError> {
        Entity::insert(row(node_id, grant)).exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    pub async fn grants(&self, node_id: NodeId) -> Result<Vec<Grant>, StoreError> {
        let select = Entity::find().filter(Column::NodeId.eq(node_id.to_string()));
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    pub async fn note_use_of_grant(&self, digest: SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        let change = ActiveModel { used_at: Set(Some(micros(at))), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::SecretDigest.eq(hex(digest)));
        update.exec(&*self.write_relaxed().await).await?;
        Ok(())
    }

    /// Of whichever node.
    pub async fn delete_grants(&self, digests: &[SecretDigest]) -> Result<(), StoreError> {
        let these = Condition::any().add(Column::SecretDigest.is_in(digests.iter().map(|digest| hex(*digest))));
        Entity::delete_many().filter(these).exec(&*self.write().await).await?;
        Ok(())
    }
}

fn row(node_id: NodeId, grant: &Grant) -> ActiveModel {
    let stream = match grant.kind {
        GrantKind::Session => None,
        GrantKind::Ticket(stream) => Some(stream.to_string()),
    };
    ActiveModel {
        secret_digest: Set(hex(grant.digest)),
        key_id: Set(grant.key_id.to_string()),
        session_digest: Set(grant.session.map(hex)),
        node_id: Set(node_id.to_string()),
        stream: Set(stream),
        created_at: Set(micros(grant.created_at)),
        used_at: Set(grant.used_at.map(micros)),
        expires_at: Set(micros(grant.expires_at)),
    }
}

fn record(row: Model) -> Result<Grant, StoreError> {
    // The digest is no secret, but is of no use to a reader of logs either.
    let cells = Cells { table: "access_grants", id: &row.key_id };
    let stream = |text: &String| StreamId::parse(text).ok_or_else(|| cells.unreadable("stream"));
    let session =
        row.session_digest.as_deref().map(|text| unhex(text).ok_or_else(|| cells.unreadable("session_digest")));
    Ok(Grant {
        digest: unhex(&row.secret_digest).ok_or_else(|| cells.unreadable("secret_digest"))?,
        session: session.transpose()?,
        kind: row.stream.as_ref().map(stream).transpose()?.map_or(GrantKind::Session, GrantKind::Ticket),
        key_id: cells.id("key_id", &row.key_id)?,
        created_at: row.created_at,
        used_at: row.used_at,
        expires_at: row.expires_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RunId;
    use crate::store::api_key::tests::key;
    use crate::store::fixture::{TestStore, at};

    #[tokio::test]
    async fn a_node_finds_its_own_grants_until_they_are_deleted() {
        let store = TestStore::open().await;
        let (node_id, key) = (NodeId::generate(), key("k"));
        store.insert_api_key(&key, SecretDigest([1; 32])).await.unwrap();
        let session = Grant {
            digest: SecretDigest([2; 32]),
            kind: GrantKind::Session,
            key_id: key.id,
            session: None,
            created_at: at(1),
            used_at: None,
            expires_at: at(9),
        };
        let kind = GrantKind::Ticket(RunId::generate().into());
        let ticket = Grant {
            digest: SecretDigest([3; 32]),
            kind,
            session: Some(session.digest),
            used_at: Some(at(2)),
            ..session.clone()
        };
        let foreign = Grant { digest: SecretDigest([4; 32]), ..session.clone() };
        for (node_id, grant) in [(node_id, &session), (node_id, &ticket), (NodeId::generate(), &foreign)] {
            store.insert_grant(node_id, grant).await.unwrap();
        }
        let mut found = store.grants(node_id).await.unwrap();
        found.sort_by_key(|grant| grant.digest.0);
        assert_eq!(found, [session.clone(), ticket.clone()]);

        store.note_use_of_grant(session.digest, at(5)).await.unwrap();
        store.delete_grants(&[ticket.digest]).await.unwrap();
        assert_eq!(store.grants(node_id).await.unwrap(), [Grant { used_at: Some(at(5)), ..session }]);
        store.delete_grants(&[]).await.unwrap();
        assert_eq!(store.grants(node_id).await.unwrap().len(), 1, "none named, none deleted");
    }
}
