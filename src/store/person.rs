//! People whom a provider of OpenID Connect has signed in. They belong to no workspace.

use entity::person::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select, Set};

use super::cells::{Cells, json, storable};
use super::{Store, StoreError};
use crate::domain::access::Person;
use crate::domain::principal::{Identity, Role, Scope};
use crate::domain::time::{Timestamp, micros};
use crate::domain::{PersonId, WorkspaceId};

/// What a provider says of somebody, and what that allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
}

impl Store {
    /// As the provider has it now; whoever is not known yet gets a row.
    pub async fn sign_in_person(
        &self,
        identity: &Identity,
        known: &KnownPerson,
        at: Timestamp,
    ) -> Result<Person, StoreError> {
        let at = micros(at);
        let row = ActiveModel {
            id: Set(PersonId::generate().to_string()),
            issuer: Set(identity.issuer.clone()),
            subject: Set(identity.subject.clone()),
            name: Set(known.name.clone()),
            role: Set(known.role.as_str().to_owned()),
            workspaces: Set(workspaces(&known.workspaces)),
            created_at: Set(at),
            signed_in_at: Set(at),
            denied_at: Set(None),
        };
        let changed = [Column::Name, Column::Role, Column::Workspaces, Column::SignedInAt, Column::DeniedAt];
        let or_change = OnConflict::columns([Column::Issuer, Column::Subject]).update_columns(changed).to_owned();
        let insert = Entity::insert(storable(row)).on_conflict(or_change);
        insert.exec_without_returning(&*self.write().await).await?;
        let row = of(identity).one(self.read()).await?;
        row.ok_or(StoreError::Unreadable { table: "people", id: identity.subject.clone(), column: "id" })
            .and_then(record)
    }

    /// Nobody lets them in from now on; none when they have never been let in.
    pub async fn deny_person(&self, identity: &Identity, at: Timestamp) -> Result<Option<Person>, StoreError> {
        let change = ActiveModel { denied_at: Set(Some(micros(at))), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::Issuer.eq(&identity.issuer));
        update.filter(Column::Subject.eq(&identity.subject)).exec(&*self.write().await).await?;
        of(identity).one(self.read()).await?.map(record).transpose()
    }

    /// Those of these who are there.
    pub async fn people(&self, ids: &[PersonId]) -> Result<Vec<Person>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let select = Entity::find().filter(Column::Id.is_in(ids.iter().map(ToString::to_string)));
        select.all(self.read()).await?.into_iter().map(record).collect()
    }
}

fn of(identity: &Identity) -> Select<Entity> {
    Entity::find().filter(Column::Issuer.eq(&identity.issuer)).filter(Column::Subject.eq(&identity.subject))
}

fn workspaces(scope: &Scope) -> Option<sea_orm::JsonValue> {
    match scope {
        Scope::All => None,
        Scope::Only(ids) => Some(json(ids)),
    }
}

fn record(row: Model) -> Result<Person, StoreError> {
    let cells = Cells { table: "people", id: &row.id };
    let workspaces = row.workspaces.map(|ids| cells.json::<Vec<WorkspaceId>>("workspaces", ids)).transpose()?;
    Ok(Person {
        id: cells.id("id", &row.id)?,
        role: cells.word("role", Role::parse, &row.role)?,
        identity: Identity { issuer: row.issuer, subject: row.subject }.into(),
        name: row.name,
        workspaces: workspaces.map_or(Scope::All, Scope::Only),
        created_at: row.created_at,
        signed_in_at: row.signed_in_at,
        denied_at: row.denied_at,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, at};

    pub fn identity(subject: &str) -> Identity {
        Identity { issuer: "https://login.example".into(), subject: subject.into() }
    }

    pub fn known(name: &str) -> KnownPerson {
        KnownPerson { name: name.into(), role: Role::Operator, workspaces: Scope::Only(vec![WorkspaceId::generate()]) }
    }

    #[tokio::test]
    async fn a_person_is_one_by_issuer_and_subject_and_is_as_at_the_last_sign_in() {
        let store = TestStore::open().await;
        let first = store.sign_in_person(&identity("s"), &known("Ada"), at(1)).await.unwrap();
        let other_issuer = Identity { issuer: "https://other.example".into(), ..identity("s") };
        let other = store.sign_in_person(&other_issuer, &known("Ada"), at(1)).await.unwrap();
        assert_ne!(first.id, other.id);

        let denied = store.deny_person(&identity("s"), at(2)).await.unwrap().unwrap();
        assert_eq!(denied, Person { denied_at: Some(at(2)), ..first.clone() });
        assert_eq!(store.deny_person(&identity("nobody"), at(2)).await.unwrap(), None);

        let changed = KnownPerson { role: Role::Viewer, workspaces: Scope::All, ..known("Ada L.") };
        let again = store.sign_in_person(&identity("s"), &changed, at(3)).await.unwrap();
        let expected = Person {
            name: "Ada L.".into(),
            role: Role::Viewer,
            workspaces: Scope::All,
            signed_in_at: at(3),
            ..first.clone()
        };
        assert_eq!(again, expected);
        assert_eq!(store.people(&[first.id, PersonId::generate()]).await.unwrap(), [again]);
        assert_eq!(store.people(&[]).await.unwrap(), []);
    }
}
