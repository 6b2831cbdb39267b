//! What keys were traded for, and what people were given for signing in. A node that is alone knows its own only: nobody
//! else takes them. Those of a cluster take each other's.

use entity::{access_grant, person_grant};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryTrait as _, Set};

use super::api_key::{hex, unhex};
use super::cells::Cells;
use super::{Store, StoreError};
use crate::domain::StreamId;
use crate::domain::access::{Grant, GrantKind, Holder, SecretDigest};
use crate::domain::id::NodeId;
use crate::domain::time::{Timestamp, micros};

impl Store {
    pub async fn insert_grant(&self, node_id: NodeId, grant: &Grant) -> Result<(), StoreError> {
        let row = row(node_id, grant);
        let writer = self.write().await;
        match grant.holder {
            Holder::Key(_) => access_grant::Entity::insert(of_key(row)).exec_without_returning(&*writer).await?,
            Holder::Person(_) => person_grant::Entity::insert(of_person(row)).exec_without_returning(&*writer).await?,
        };
        Ok(())
    }

    /// Those that a node has given; none named, those of all of them.
    pub async fn grants(&self, by: Option<NodeId>) -> Result<Vec<Grant>, StoreError> {
        let by = by.map(|node_id| node_id.to_string());
        let of_keys = access_grant::Entity::find()
            .apply_if(by.as_ref(), |select, by| select.filter(access_grant::Column::NodeId.eq(by)));
        let of_people = person_grant::Entity::find()
            .apply_if(by.as_ref(), |select, by| select.filter(person_grant::Column::NodeId.eq(by)));
        let of_keys = of_keys.all(self.read()).await?.into_iter().map(key_row);
        let of_people = of_people.all(self.read()).await?.into_iter().map(person_row);
        of_keys
            .map(|row| record("access_grants", row))
            .chain(of_people.map(|row| record("person_grants", row)))
            .collect()
    }

    pub async fn note_use_of_grant(&self, digest: SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        let (digest, used_at) = (hex(digest), Set(Some(micros(at))));
        let writer = self.write_relaxed().await;
        let change = access_grant::ActiveModel { used_at: used_at.clone(), ..Default::default() };
        let update = access_grant::Entity::update_many().set(change);
        let update = update.filter(access_grant::Column::SecretDigest.eq(&digest));
        // A digest is in one of the two.
        if update.exec(&*writer).await?.rows_affected == 0 {
            let change = person_grant::ActiveModel { used_at, ..Default::default() };
            let update = person_grant::Entity::update_many().set(change);
            update.filter(person_grant::Column::SecretDigest.eq(&digest)).exec(&*writer).await?;
        }
        Ok(())
    }

    /// Of whichever node.
    pub async fn delete_grants(&self, digests: &[SecretDigest]) -> Result<(), StoreError> {
        let digests: Vec<_> = digests.iter().map(|digest| hex(*digest)).collect();
        let writer = self.write().await;
        let these = access_grant::Column::SecretDigest.is_in(&digests);
        access_grant::Entity::delete_many().filter(these).exec(&*writer).await?;
        let these = person_grant::Column::SecretDigest.is_in(&digests);
        person_grant::Entity::delete_many().filter(these).exec(&*writer).await?;
        Ok(())
    }
}

/// A row of either table.
struct Row {
    secret_digest: String,
    /// A key's or a person's.
    holder: String,
    session_digest: Option<String>,
    node_id: String,
    stream: Option<String>,
    created_at: Timestamp,
    used_at: Option<Timestamp>,
    expires_at: Timestamp,
}

fn row(node_id: NodeId, grant: &Grant) -> Row {
    let stream = match grant.kind {
        GrantKind::Session => None,
        GrantKind::Ticket(stream) => Some(stream.to_string()),
    };
    Row {
        secret_digest: hex(grant.digest),
        holder: grant.holder.to_string(),
        session_digest: grant.session.map(hex),
        node_id: node_id.to_string(),
        stream,
        created_at: micros(grant.created_at),
        used_at: grant.used_at.map(micros),
        expires_at: micros(grant.expires_at),
    }
}

/// The two tables differ in the name of one column.
macro_rules! rows_of {
    ($entity:ident, $holder:ident, $into:ident, $from:ident) => {
        fn $into(row: Row) -> $entity::ActiveModel {
            let Row { secret_digest, holder, session_digest, node_id, stream, created_at, used_at, expires_at } = row;
            $entity::ActiveModel {
                secret_digest: Set(secret_digest),
                $holder: Set(holder),
                session_digest: Set(session_digest),
                node_id: Set(node_id),
                stream: Set(stream),
                created_at: Set(created_at),
                used_at: Set(used_at),
                expires_at: Set(expires_at),
            }
        }

        fn $from(row: $entity::Model) -> Row {
            let $entity::Model { secret_digest, $holder, session_digest, node_id, .. } = row;
            let $entity::Model { stream, created_at, used_at, expires_at, .. } = row;
            Row { secret_digest, holder: $holder, session_digest, node_id, stream, created_at, used_at, expires_at }
        }
    };
}

rows_of!(access_grant, key_id, of_key, key_row);
rows_of!(person_grant, person_id, of_person, person_row);

fn record(table: &'static str, row: Row) -> Result<Grant, StoreError> {
    // The digest is no secret, but is of no use to a reader of logs either.
    let cells = Cells { table, id: &row.holder };
    let stream = |text: &String| StreamId::parse(text).ok_or_else(|| cells.unreadable("stream"));
    let session =
        row.session_digest.as_deref().map(|text| unhex(text).ok_or_else(|| cells.unreadable("session_digest")));
    let holder = match table {
        "access_grants" => Holder::Key(cells.id("key_id", &row.holder)?),
        _ => Holder::Person(cells.id("person_id", &row.holder)?),
    };
    Ok(Grant {
        digest: unhex(&row.secret_digest).ok_or_else(|| cells.unreadable("secret_digest"))?,
        session: session.transpose()?,
        kind: row.stream.as_ref().map(stream).transpose()?.map_or(GrantKind::Session, GrantKind::Ticket),
        holder,
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
    use crate::store::person::tests::{identity, known};

    #[tokio::test]
    async fn a_node_finds_its_own_grants_until_they_are_deleted() {
        let store = TestStore::open().await;
        let (node_id, key) = (NodeId::generate(), key("k"));
        store.insert_api_key(&key, SecretDigest([1; 32])).await.unwrap();
        let session = Grant {
            digest: SecretDigest([2; 32]),
            kind: GrantKind::Session,
            holder: Holder::Key(key.id),
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
        let person = store.sign_in_person(&identity("s"), &known("Ada"), at(1)).await.unwrap();
        let of_person = Grant { digest: SecretDigest([5; 32]), holder: Holder::Person(person.id), ..session.clone() };
        let foreign = Grant { digest: SecretDigest([4; 32]), ..session.clone() };
        for (node_id, grant) in
            [(node_id, &session), (node_id, &ticket), (node_id, &of_person), (NodeId::generate(), &foreign)]
        {
            store.insert_grant(node_id, grant).await.unwrap();
        }
        let mut found = store.grants(Some(node_id)).await.unwrap();
        found.sort_by_key(|grant| grant.digest.0);
        assert_eq!(found, [session.clone(), ticket.clone(), of_person.clone()]);
        assert_eq!(store.grants(None).await.unwrap().len(), 4, "of whichever node");

        for used in [&session, &of_person] {
            store.note_use_of_grant(used.digest, at(5)).await.unwrap();
        }
        store.delete_grants(&[ticket.digest]).await.unwrap();
        let used = |grant: Grant| Grant { used_at: Some(at(5)), ..grant };
        assert_eq!(store.grants(Some(node_id)).await.unwrap(), [used(session.clone()), used(of_person.clone())]);
        store.delete_grants(&[]).await.unwrap();
        assert_eq!(store.grants(Some(node_id)).await.unwrap().len(), 2, "none named, none deleted");
        store.delete_grants(&[of_person.digest]).await.unwrap();
        assert_eq!(store.grants(Some(node_id)).await.unwrap(), [used(session)]);
    }
}
