//! What changes who is let in, in memory and in the database, and who asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use secrecy::SecretString;

use super::book::{Admitted, Book, Full, Refused, Via};
use super::secret::{Minted, NoEntropy};
use super::shown::Shown;
use crate::domain::access::{ApiKey, Grant, GrantKind, Holder, Person, SecretDigest, TICKET_LIFE};
use crate::domain::id::NodeId;
use crate::domain::principal::{Identity, Principal, Role, Scope};
use crate::domain::time::{Timestamp, micros};
use crate::domain::{KeyId, PersonId, StreamId};
use crate::store::{KnownPerson, Store, StoreError};

/// How long browsers stay signed in.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    pub idle: Duration,
    pub total: Duration,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
    pub expires_at: Option<Timestamp>,
}

/// Characters of a key's name.
pub const MAX_NAME: usize = 100;
/// Workspaces that a key is bound to.
pub const MAX_WORKSPACES: usize = 100;

/// What is wrong with a key that is to be made: the member and what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` must be {allowed}")]
pub struct KeyFault {
    pub member: &'static str,
    pub allowed: &'static str,
}

impl NewKey {
    pub fn check(&self, now: Timestamp) -> Result<(), KeyFault> {
        let fault = |member, allowed| Err(KeyFault { member, allowed });
        let length = self.name.chars().count();
        let is_bound = |least: usize, most: usize| match &self.workspaces {
            Scope::All => false,
            Scope::Only(ids) => !(least..=most).contains(&ids.len()),
        };
        if !(1..=MAX_NAME).contains(&length) || self.name.chars().any(char::is_control) {
            return fault("name", "a text of 1 to 100 characters without control characters");
        }
        // `accepted_by` of a workflow names either.
        if Role::parse(&self.name).is_some() {
            return fault("name", "no name of a role");
        }
        if self.role == Role::Admin && self.workspaces != Scope::All {
            return fault("workspaces", "left out: an admin's key is for all of them");
        }
        if is_bound(1, MAX_WORKSPACES) {
            return fault("workspaces", "1 to 100 ids, or left out for all workspaces");
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return fault("expires_at", "in the future");
        }
        Ok(())
    }
}

/// No key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    #[error(transparent)]
    Fault(#[from] KeyFault),
    #[error("too many keys: {0}")]
    Full(#[from] Full),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key was not traded for anything.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The caller has none, or it has just ended.
    #[error("only a key or a session can be traded")]
    NoKey,
    #[error("too many sessions and tickets: {0}")]
    Full(#[from] Full),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose sessions and tickets count here besides a key, which counts everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granting {
    /// Those that this node gives: nobody else changes them, and they are read once.
    Alone(NodeId),
    /// Those of all nodes with this database, of which this is one: they are read with each round.
    Together(NodeId),
}

impl Granting {
    fn node_id(self) -> NodeId {
        match self {
            Self::Alone(id) | Self::Together(id) => id,
        }
    }
}

/// Decides who is let in; clones decide together.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    is_on: bool,
    limits: SessionLimits,
    store: Store,
    granting: Granting,
    book: Mutex<Book>,
    /// Held while the database and the book are brought to say the same, so that none of two changes is lost.
    changes: tokio::sync::Mutex<()>,
}

impl Access {
    /// Reads what the database has. When sign-in is off, everybody is the local caller.
    pub async fn open(
        store: Store,
        granting: Granting,
        is_on: bool,
        limits: SessionLimits,
    ) -> Result<Self, StoreError> {
        let mut book = match granting {
            Granting::Alone(_) => Book::new(limits.idle),
            Granting::Together(_) => Book::shared(limits.idle),
        };
        let by = match granting {
            Granting::Alone(node_id) => Some(node_id),
            Granting::Together(_) => None,
        };
        let grants = grants(&store, by).await?;
        book.take_over(store.unrevoked_api_keys().await?, Utc::now());
        book.take_over_members(store.memberships().await?);
        store.people(&people(&grants)).await?.into_iter().for_each(|person| book.put_person(person));
        match granting {
            Granting::Alone(_) => grants.into_iter().for_each(|grant| book.add_grant(grant)),
            Granting::Together(_) => book.take_over_grants(grants, Utc::now()),
        }
        let changes = tokio::sync::Mutex::default();
        Ok(Self(Arc::new(Inner { is_on, limits, store, granting, book: Mutex::new(book), changes })))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_on
    }

    pub fn limits(&self) -> SessionLimits {
        self.0.limits
    }

    /// Waits for nothing but other callers' look-ups.
    pub fn admit(&self, shown: &Shown) -> Result<Admitted, Refused> {
        self.book().admit(shown, micros(Utc::now()))
    }

    /// A key for the program that runs this service in itself: an admin's, in memory only.
    pub fn local_key(&self) -> Result<SecretString, NoEntropy> {
        let id = KeyId::generate();
        let minted = Minted::key(id)?;
        self.book().set_local(id, minted.digest);
        Ok(minted.text)
    }

    /// Makes an admin's key when there has never been a key.
    pub async fn first_key(&self) -> Result<Option<(ApiKey, SecretString)>, CreateKeyError> {
        if self.0.store.has_api_keys().await? {
            return Ok(None);
        }
        let new = NewKey { name: "first".into(), role: Role::Admin, workspaces: Scope::All, expires_at: None };
        self.create_key(new, &Principal::local()).await.map(Some)
    }

    /// The secret is here, and nowhere afterwards.
    pub async fn create_key(&self, new: NewKey, by: &Principal) -> Result<(ApiKey, SecretString), CreateKeyError> {
        let _changes = self.0.changes.lock().await;
        let now = micros(Utc::now());
        new.check(now)?;
        self.book().check_room_for_key()?;
        let key = ApiKey {
            id: KeyId::generate(),
            name: new.name,
            role: new.role,
            workspaces: new.workspaces,
            created_by: by.name.clone(),
            created_at: now,
            expires_at: new.expires_at.map(micros),
            last_used_at: None,
            revoked_at: None,
        };
        let minted = Minted::key(key.id)?;
        self.0.store.insert_api_key(&key, minted.digest).await?;
        self.book().add_key(key.clone(), minted.digest);
        Ok((key, minted.text))
    }

    /// Every key that there ever was, newest first.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.0.store.api_keys().await
    }

    /// Ends a key, and everything that goes on under it. False when there is none, or it was revoked before.
    pub async fn revoke_key(&self, id: KeyId) -> Result<bool, StoreError> {
        let _changes = self.0.changes.lock().await;
        let revoked = self.0.store.revoke_api_key(id, micros(Utc::now())).await?;
        self.book().end_key(id);
        Ok(revoked)
    }

    /// A session for the holder of a key; its secret, for the cookie.
    pub async fn sign_in(&self, principal: &Principal) -> Result<(SecretString, Grant), GrantError> {
        self.grant(principal, Minted::session()?, (GrantKind::Session, None), self.0.limits.total).await
    }

    /// A session for somebody whom a provider has signed in. From now on all their sessions act as this one.
    pub async fn sign_in_person(
        &self,
        identity: &Identity,
        known: &KnownPerson,
        life: Duration,
    ) -> Result<(SecretString, Grant, Principal), GrantError> {
        let minted = Minted::session()?;
        let _changes = self.0.changes.lock().await;
        let person = self.0.store.sign_in_person(identity, known, Utc::now()).await?;
        let (principal, life) = (person.principal(), life.min(self.0.limits.total));
        let of = (Holder::Person(person.id), Some(person));
        let (secret, grant) = self.insert(of, minted, (GrantKind::Session, None), life).await?;
        Ok((secret, grant, principal))
    }

    /// Somebody whom nothing allows anything any more: all their sessions end.
    pub async fn deny_person(&self, identity: &Identity, name: &str) -> Result<(), StoreError> {
        let _changes = self.0.changes.lock().await;
        if let Some(person) = self.0.store.deny_person(identity, name, Utc::now()).await? {
            self.book().put_person(person);
        }
        Ok(())
    }

    pub async fn sign_out(&self, session: SecretDigest) -> Result<(), StoreError> {
        // A round in between would find that it has ended, and so would the request that asks for this.
        let _changes = self.0.changes.lock().await;
        // The database first: that request goes on under the session.
        self.0.store.delete_grants(&[session]).await?;
        self.book().end_grant(session);
        Ok(())
    }

    /// To read a stream that the caller may see; it ends with the session that asks for it, if one does.
    pub async fn ticket(&self, caller: &Admitted, to: StreamId) -> Result<(SecretString, Grant), GrantError> {
        let session = match caller.via {
            Via::Session(digest) => Some(digest),
            Via::Key | Via::Ticket(_) => None,
        };
        self.grant(&caller.principal, Minted::ticket()?, (GrantKind::Ticket(to), session), TICKET_LIFE).await
    }

    async fn grant(
        &self,
        principal: &Principal,
        minted: Minted,
        (kind, session): (GrantKind, Option<SecretDigest>),
        life: Duration,
    ) -> Result<(SecretString, Grant), GrantError> {
        let holder = Holder::of(&principal.who).ok_or(GrantError::NoKey)?;
        let _changes = self.0.changes.lock().await;
        self.insert((holder, None), minted, (kind, session), life).await
    }

    /// While changes are held. A person comes into the book together with the grant, or would be forgotten before it.
    async fn insert(
        &self,
        (holder, person): (Holder, Option<Person>),
        minted: Minted,
        (kind, session): (GrantKind, Option<SecretDigest>),
        life: Duration,
    ) -> Result<(SecretString, Grant), GrantError> {
        self.book().check_room_for_grant(holder)?;
        let now = micros(Utc::now());
        let Minted { text, digest } = minted;
        let grant = Grant { digest, kind, holder, session, created_at: now, used_at: None, expires_at: now + life };
        self.0.store.insert_grant(self.0.granting.node_id(), &grant).await?;
        let mut book = self.book();
        person.into_iter().for_each(|person| book.put_person(person));
        book.add_grant(grant.clone());
        Ok((text, grant))
    }

    /// Takes over what other processes have changed, and ends what has expired.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        // Before the database is asked: what expires, expires without it too.
        self.book().sweep(Utc::now());
        let changes = self.0.changes.lock().await;
        // Before their holders, who are there as long as they are.
        let grants = match self.0.granting {
            Granting::Alone(_) => None,
            Granting::Together(_) => Some(grants(&self.0.store, None).await?),
        };
        let rows = self.0.store.unrevoked_api_keys().await?;
        self.book().take_over(rows, Utc::now());
        let mut held = self.book().held_people();
        held.extend(grants.iter().flat_map(|grants| people(grants)));
        let people = self.0.store.people(&held).await?;
        self.book().take_over_people(&held, people);
        if let Some(grants) = grants {
            self.book().take_over_grants(grants, Utc::now());
        }
        self.read_members().await?;
        drop(changes);
        self.note_uses().await?;
        self.delete_ended().await
    }

    async fn note_uses(&self) -> Result<(), StoreError> {
        let uses = self.book().take_uses();
        for (id, at) in uses.keys {
            self.0.store.note_use_of_api_key(id, at).await?;
        }
        for (digest, at) in uses.grants {
            self.0.store.note_use_of_grant(digest, at).await?;
        }
        Ok(())
    }

    async fn delete_ended(&self) -> Result<(), StoreError> {
        let ended = self.book().take_ended();
        if ended.is_empty() {
            return Ok(());
        }
        let deleted = self.0.store.delete_grants(&ended).await;
        if deleted.is_err() {
            self.book().put_back(ended);
        }
        deleted
    }

    /// Nothing in it can be half done: each change is one call that does not panic.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) async fn changes(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changes.lock().await
    }

    /// The caller of a service without sign-in.
    pub fn everybody(&self) -> Option<Admitted> {
        (!self.0.is_on).then(Admitted::local)
    }
}

/// Sessions before the tickets that ask for them.
async fn grants(store: &Store, by: Option<NodeId>) -> Result<Vec<Grant>, StoreError> {
    let mut grants = store.grants(by).await?;
    grants.sort_by_key(|grant| grant.session.is_some());
    Ok(grants)
}

fn people(grants: &[Grant]) -> Vec<PersonId> {
    let of = grants.iter().filter_map(|grant| match grant.holder {
        Holder::Key(_) => None,
        Holder::Person(id) => Some(id),
    });
    of.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::shown::Csrf;
    use crate::domain::{RunId, WorkspaceId};
    use crate::store::fixture::TestStore;

    #[test]
    fn a_key_that_cannot_be_meant_is_refused_by_member() {
        let now = Utc::now();
        let good = NewKey { name: "k".into(), role: Role::Operator, workspaces: Scope::All, expires_at: None };
        assert_eq!(good.check(now), Ok(()));
        let bound = |count| Scope::Only(std::iter::repeat_with(WorkspaceId::generate).take(count).collect());
        let long = "x".repeat(MAX_NAME + 1);
        for (wrong, member) in [
            (NewKey { name: String::new(), ..good.clone() }, "name"),
            (NewKey { name: long, ..good.clone() }, "name"),
            (NewKey { name: "a\nb".into(), ..good.clone() }, "name"),
            (NewKey { name: "admin".into(), ..good.clone() }, "name"),
            (NewKey { workspaces: bound(0), ..good.clone() }, "workspaces"),
            (NewKey { workspaces: bound(MAX_WORKSPACES + 1), ..good.clone() }, "workspaces"),
            (NewKey { workspaces: bound(1), role: Role::Admin, ..good.clone() }, "workspaces"),
            (NewKey { expires_at: Some(now), ..good.clone() }, "expires_at"),
        ] {
            assert_eq!(wrong.check(now).unwrap_err().member, member, "{wrong:?}");
        }
        assert_eq!(NewKey { workspaces: bound(MAX_WORKSPACES), ..good }.check(now), Ok(()));
    }

    const LIMITS: SessionLimits = SessionLimits { idle: Duration::from_secs(600), total: Duration::from_secs(6000) };

    async fn node(store: &TestStore, granting: fn(NodeId) -> Granting) -> Access {
        let of_node = store.another_handle().await;
        Access::open(of_node, granting(NodeId::generate()), true, LIMITS).await.unwrap()
    }

    fn shown(grant: &Grant) -> Shown {
        match grant.kind {
            GrantKind::Session => Shown::Session { digest: grant.digest, csrf: Csrf::Right },
            GrantKind::Ticket(_) => Shown::Ticket(grant.digest),
        }
    }

    #[tokio::test]
    async fn what_one_node_gives_counts_on_all_after_a_round_and_ends_on_all() {
        let store = TestStore::open().await;
        let [a, b] = [node(&store, Granting::Together).await, node(&store, Granting::Together).await];
        let alone = node(&store, Granting::Alone).await;
        let new = NewKey { name: "k".into(), role: Role::Operator, workspaces: Scope::All, expires_at: None };
        let (key, _) = a.create_key(new, &Principal::local()).await.unwrap();
        let (_, session) = a.sign_in(&key.principal()).await.unwrap();
        let caller = a.admit(&shown(&session)).unwrap();
        let (_, ticket) = a.ticket(&caller, RunId::generate().into()).await.unwrap();
        let (identity, known) = (
            Identity { issuer: "https://login.example".into(), subject: "s".into() },
            KnownPerson { name: "Ada".into(), role: Role::Viewer, workspaces: Scope::All },
        );
        let (_, of_person, _) = a.sign_in_person(&identity, &known, LIMITS.total).await.unwrap();
        let all = [&session, &ticket, &of_person];
        for grant in all {
            assert!(b.admit(&shown(grant)).is_err(), "it was not read yet");
        }
        b.refresh().await.unwrap();
        alone.refresh().await.unwrap();
        let let_in = all.map(|grant| b.admit(&shown(grant)).unwrap());
        assert_eq!(let_in[0].principal, key.principal());
        assert!(all.iter().all(|grant| alone.admit(&shown(grant)).is_err()));
        let later = node(&store, Granting::Together).await;
        assert!(all.iter().all(|grant| later.admit(&shown(grant)).is_ok()), "they outlive a start");

        b.sign_out(session.digest).await.unwrap();
        a.deny_person(&identity, "Ada").await.unwrap();
        a.refresh().await.unwrap();
        b.refresh().await.unwrap();
        assert!(caller.revocation.is_revoked() && let_in.iter().all(|it| it.revocation.is_revoked()));
        for node in [&a, &b] {
            assert!(all.iter().all(|grant| node.admit(&shown(grant)).is_err()));
        }
        assert_eq!(store.grants(None).await.unwrap(), []);
    }
}
