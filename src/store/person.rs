//! People whom a provider of OpenID Connect has signed in. They belong to no workspace.

use entity::member;
use entity::person::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use super::cells::{Cells, json, plain, storable};
use super::{Store, StoreError};
use crate::domain::access::Person;
use crate::domain::principal::{Identity, Role, Scope};
use crate::domain::time::{Timestamp, micros};
use crate::domain::{PersonId, WorkspaceId};

/// People who are shown at once.
const MAX_SHOWN: u64 = 1000;
/// People who are not let in and are remembered all the same: a provider may have users without end.
const MAX_DENIED: u64 = 1000;

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
        let changed = [Column::Name, Column::Role, Column::Workspaces, Column::SignedInAt, Column::DeniedAt];
        self.put_person(identity, row(identity, known, micros(at)), &changed).await
    }

    /// Nobody lets them in from now on. Whoever is not known yet is from now on, and may be made a member of something; none when
    /// too many have tried.
    pub async fn deny_person(
        &self,
        identity: &Identity,
        name: &str,
        at: Timestamp,
    ) -> Result<Option<Person>, StoreError> {
        let denied = Entity::find().filter(Column::DeniedAt.is_not_null()).count(self.read()).await?;
        if denied >= MAX_DENIED && self.find_person(identity).await?.is_none() {
            return Ok(None);
        }
        let nothing = KnownPerson { name: name.to_owned(), role: Role::Viewer, workspaces: Scope::Only(Vec::new()) };
        let row = ActiveModel { denied_at: Set(Some(micros(at))), ..row(identity, &nothing, micros(at)) };
        self.put_person(identity, row, &[Column::Name, Column::SignedInAt, Column::DeniedAt]).await.map(Some)
    }

    /// Inserts, or changes these columns of whom it is about.
    async fn put_person(
        &self,
        identity: &Identity,
        row: ActiveModel,
        changed: &[Column],
    ) -> Result<Person, StoreError> {
        let or_change =
            OnConflict::columns([Column::Issuer, Column::Subject]).update_columns(changed.to_vec()).to_owned();
        let insert = Entity::insert(storable(row)).on_conflict(or_change);
        insert.exec_without_returning(&*self.write().await).await?;
        let found = self.find_person(identity).await?;
        found.ok_or(StoreError::Unreadable { table: "people", id: identity.subject.clone(), column: "id" })
    }

    pub async fn find_person(&self, identity: &Identity) -> Result<Option<Person>, StoreError> {
        let of_issuer = Entity::find().filter(Column::Issuer.eq(plain(&identity.issuer)));
        let select = of_issuer.filter(Column::Subject.eq(plain(&identity.subject)));
        select.one(self.read()).await?.map(record).transpose()
    }

    /// Whether a workspace has them among its members.
    pub async fn is_member(&self, identity: &Identity) -> Result<bool, StoreError> {
        let Some(person) = self.find_person(identity).await? else { return Ok(false) };
        let of_person = member::Entity::find().filter(member::Column::Holder.eq(person.id.to_string()));
        Ok(of_person.one(self.read()).await?.is_some())
    }

    /// Those who came last.
    pub async fn latest_people(&self) -> Result<Vec<Person>, StoreError> {
        let select = Entity::find().order_by_desc(Column::SignedInAt).order_by_desc(Column::Id).limit(MAX_SHOWN);
        select.all(self.read()).await?.into_iter().map(record).collect()
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

fn row(identity: &Identity, known: &KnownPerson, at: Timestamp) -> ActiveModel {
    ActiveModel {
        id: Set(PersonId::generate().to_string()),
        issuer: Set(identity.issuer.clone()),
        subject: Set(identity.subject.clone()),
        name: Set(known.name.clone()),
        role: Set(known.role.as_str().to_owned()),
        workspaces: Set(workspaces(&known.workspaces)),
        created_at: Set(at),
        signed_in_at: Set(at),
        denied_at: Set(None),
    }
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

        let denied = store.deny_person(&identity("s"), "Ada", at(2)).await.unwrap().unwrap();
        assert_eq!(denied, Person { signed_in_at: at(2), denied_at: Some(at(2)), ..first.clone() });
        let unknown = store.deny_person(&identity("new"), "Eve", at(2)).await.unwrap().unwrap();
        assert_eq!((unknown.role, &unknown.workspaces), (Role::Viewer, &Scope::Only(vec![])));
        assert!(!unknown.is_live() && !store.is_member(&identity("new")).await.unwrap());
        assert_eq!(store.find_person(&identity("new")).await.unwrap(), Some(unknown.clone()));
        assert_eq!(store.find_person(&identity("nobody")).await.unwrap(), None);

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
        let latest: Vec<_> = store.latest_people().await.unwrap().into_iter().map(|person| person.id).collect();
        assert_eq!(latest, [first.id, unknown.id, other.id]);
    }
}
