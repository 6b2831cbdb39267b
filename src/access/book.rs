//! Who is let in, as memory has it. Pure: told what time it is, it waits for nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::revocation::Revocation;
use super::secret;
use super::shown::{Csrf, Shown};
use crate::domain::access::{ApiKey, Grant, GrantKind, Holder, Person, SecretDigest};
use crate::domain::member::{Membership, acting_as, takes_away};
use crate::domain::principal::{Principal, Role};
use crate::domain::time::Timestamp;
use crate::domain::{KeyId, PersonId, StreamId};

/// Keys that are live at a time.
pub const MAX_KEYS: usize = 1000;
/// Sessions and tickets that are live at a time.
pub const MAX_GRANTS: usize = 10_000;
/// Of one key or person, so that none takes all.
pub const MAX_GRANTS_OF_HOLDER: usize = 2_000;
/// A use is written down at most once in this time.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// What is to be written down is in the memory of other nodes so much later: two rounds, and the answers of the database.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// A caller that is let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// By its key or its groups.
    pub principal: Principal,
    /// What it may do besides.
    pub memberships: Arc<[Membership]>,
    pub via: Via,
    /// When this is told, what goes on for the caller must end.
    pub revocation: Revocation,
}

impl Admitted {
    /// The local caller, whom nobody can revoke.
    pub fn local() -> Self {
        let (memberships, revocation) = Default::default();
        Self { principal: Principal::local(), memberships, via: Via::Key, revocation }
    }

    /// For a handler that needs this role, in the workspaces where the caller has it.
    pub fn acting_as(&self, needed: Role) -> Option<Principal> {
        acting_as(&self.principal, &self.memberships, needed)
    }

    /// For who reads only: that everybody may who is let in.
    pub fn reader(&self) -> Principal {
        self.acting_as(Role::Viewer).unwrap_or_else(|| self.principal.clone())
    }
}

/// By what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Key,
    Session(SecretDigest),
    /// Lets in to this stream and nowhere else.
    Ticket(StreamId),
}

/// Why a caller is not let in. None of these says which part of a secret was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the request shows no key")]
    NothingShown,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the key is unknown, revoked or expired")]
    Unknown,
    #[error("the session is unknown or has ended")]
    NoSession,
    #[error("the ticket is unknown or has expired")]
    NoTicket,
    #[error("a change by a session needs its token in `X-CSRF-Token`")]
    Csrf,
}

/// There are too many already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} already")]
pub struct Full {
    pub limit: usize,
}

/// What is to be written down of uses, by digest or id.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub keys: Vec<(KeyId, Timestamp)>,
    pub grants: Vec<(SecretDigest, Timestamp)>,
}

pub struct Book {
    keys: HashMap<KeyId, HeldKey>,
    /// Those who hold a grant here.
    people: HashMap<PersonId, Person>,
    grants: HashMap<SecretDigest, HeldGrant>,
    /// In the order of their workspaces.
    members: HashMap<Holder, Arc<[Membership]>>,
    /// Of the program that embeds the service; nowhere but here.
    local: Option<(KeyId, SecretDigest)>,
    /// To be deleted.
    ended: Vec<SecretDigest>,
    session_idle: Duration,
    noted_every: Duration,
    /// What is idle here may have been used on another node, which has not told for as long as this: it ends so much later.
    grace: Duration,
}

struct HeldKey {
    key: ApiKey,
    digest: SecretDigest,
    revocation: Revocation,
    noted: Option<Timestamp>,
}

struct HeldGrant {
    grant: Grant,
    revocation: Revocation,
    noted: Option<Timestamp>,
}

impl Book {
    pub fn new(session_idle: Duration) -> Self {
        let (keys, people, grants, members) = Default::default();
        let (noted_every, grace) = (NOTED_EVERY, Duration::ZERO);
        Self { keys, people, grants, members, local: None, ended: Vec::new(), session_idle, noted_every, grace }
    }

    /// With the sessions and tickets of other nodes: [`Book::take_over_grants`]. How long one is unused is told to the others
    /// often enough for one that is used on any of them to be good on all.
    pub fn shared(session_idle: Duration) -> Self {
        let noted_every = NOTED_EVERY.min(session_idle / 4);
        Self { noted_every, grace: noted_every + TOLD_WITHIN, ..Self::new(session_idle) }
    }

    pub fn set_local(&mut self, id: KeyId, digest: SecretDigest) {
        self.local = Some((id, digest));
    }

    pub fn admit(&mut self, shown: &Shown, now: Timestamp) -> Result<Admitted, Refused> {
        match *shown {
            Shown::Nothing => Err(Refused::NothingShown),
            Shown::Malformed(why) => Err(Refused::Malformed(why)),
            Shown::Key(id, digest) => self.by_key(id, digest, now),
            Shown::Ticket(digest) => self.by_ticket(digest, now),
            Shown::Session { digest, csrf } => self.by_session(digest, csrf, now),
        }
    }

    fn by_key(&mut self, id: KeyId, digest: SecretDigest, now: Timestamp) -> Result<Admitted, Refused> {
        if let Some((_, local)) = self.local.filter(|(local, _)| *local == id) {
            return secret::is_same(local, digest).then(Admitted::local).ok_or(Refused::Unknown);
        }
        let memberships = self.memberships(Holder::Key(id));
        let held = self.keys.get_mut(&id).filter(|held| secret::is_same(held.digest, digest));
        let held = held.filter(|held| held.key.is_live(now)).ok_or(Refused::Unknown)?;
        held.key.last_used_at = Some(now);
        let (principal, revocation) = (held.key.principal(), held.revocation.clone());
        Ok(Admitted { principal, memberships, via: Via::Key, revocation })
    }

    fn by_session(&mut self, digest: SecretDigest, csrf: Csrf, now: Timestamp) -> Result<Admitted, Refused> {
        let is_session = |kind: GrantKind| kind == GrantKind::Session;
        let (principal, held) = self.granted(digest, is_session, now).ok_or(Refused::NoSession)?;
        if csrf == Csrf::Wrong {
            return Err(Refused::Csrf);
        }
        held.grant.used_at = Some(now);
        let (holder, revocation) = (held.grant.holder, held.revocation.clone());
        Ok(Admitted { principal, memberships: self.memberships(holder), via: Via::Session(digest), revocation })
    }

    fn by_ticket(&mut self, digest: SecretDigest, now: Timestamp) -> Result<Admitted, Refused> {
        let is_ticket = |kind: GrantKind| kind != GrantKind::Session;
        let (principal, held) = self.granted(digest, is_ticket, now).ok_or(Refused::NoTicket)?;
        let GrantKind::Ticket(stream) = held.grant.kind else { return Err(Refused::NoTicket) };
        held.grant.used_at = Some(now);
        let principal = Principal { role: Role::Viewer, ..principal };
        let (holder, revocation) = (held.grant.holder, held.revocation.clone());
        Ok(Admitted { principal, memberships: self.memberships(holder), via: Via::Ticket(stream), revocation })
    }

    /// A live grant of a live key, or of a person. Looking a digest up takes a time that says nothing about the secret.
    fn granted(
        &mut self,
        digest: SecretDigest,
        kind: impl Fn(GrantKind) -> bool,
        now: Timestamp,
    ) -> Option<(Principal, &mut HeldGrant)> {
        let held = self.grants.get_mut(&digest)?;
        let principal = match held.grant.holder {
            Holder::Key(id) => self.keys.get(&id).filter(|held| held.key.is_live(now))?.key.principal(),
            Holder::Person(id) => self.people.get(&id)?.principal(),
        };
        (kind(held.grant.kind) && held.grant.is_live(self.session_idle, now)).then_some((principal, held))
    }

    fn memberships(&self, holder: Holder) -> Arc<[Membership]> {
        self.members.get(&holder).cloned().unwrap_or_default()
    }

    pub fn check_room_for_key(&self) -> Result<(), Full> {
        if self.keys.len() < MAX_KEYS { Ok(()) } else { Err(Full { limit: MAX_KEYS }) }
    }

    pub fn check_room_for_grant(&self, holder: Holder) -> Result<(), Full> {
        let of_holder = self.grants.values().filter(|held| held.grant.holder == holder).count();
        match (self.grants.len(), of_holder) {
            (MAX_GRANTS.., _) => Err(Full { limit: MAX_GRANTS }),
            (_, MAX_GRANTS_OF_HOLDER..) => Err(Full { limit: MAX_GRANTS_OF_HOLDER }),
            _ => Ok(()),
        }
    }

    pub fn add_key(&mut self, key: ApiKey, digest: SecretDigest) {
        let noted = key.last_used_at;
        self.keys.insert(key.id, HeldKey { key, digest, revocation: Revocation::default(), noted });
    }

    /// One whose holder or session is not held is over before it begins.
    pub fn add_grant(&mut self, grant: Grant) {
        if !self.is_of_somebody(&grant) {
            self.ended.push(grant.digest);
            return;
        }
        let noted = grant.used_at;
        self.grants.insert(grant.digest, HeldGrant { grant, revocation: Revocation::default(), noted });
    }

    /// Takes over what the database holds: another node may have made and ended sessions and tickets, and let in by them.
    /// Those of whom nothing is known here are left to it. Sessions before their tickets.
    pub fn take_over_grants(&mut self, rows: Vec<Grant>, now: Timestamp) {
        let there: HashSet<SecretDigest> = rows.iter().map(|grant| grant.digest).collect();
        self.end_grants(|grant| !there.contains(&grant.digest));
        for grant in rows {
            if let Some(held) = self.grants.get_mut(&grant.digest) {
                held.noted = held.noted.max(grant.used_at);
                held.grant.used_at = held.grant.used_at.max(grant.used_at);
            } else if self.may_begin(&grant, now) {
                self.add_grant(grant);
            }
        }
    }

    /// What has ended here, and could not be deleted yet, does not begin again.
    fn may_begin(&self, grant: &Grant, now: Timestamp) -> bool {
        self.is_of_somebody(grant) && grant.is_live(self.session_idle, now) && !self.ended.contains(&grant.digest)
    }

    /// Whether its session and its holder are held.
    fn is_of_somebody(&self, grant: &Grant) -> bool {
        let has_session = grant.session.is_none_or(|session| self.grants.contains_key(&session));
        has_session
            && match grant.holder {
                Holder::Key(id) => self.keys.contains_key(&id),
                Holder::Person(id) => self.people.contains_key(&id),
            }
    }

    pub fn end_key(&mut self, id: KeyId) {
        if let Some(held) = self.keys.remove(&id) {
            held.revocation.revoke();
        }
        self.end_grants(|grant| grant.holder == Holder::Key(id));
    }

    /// As of now. When they may do something else than before, what goes on under their grants ends; the grants do not.
    pub fn put_person(&mut self, person: Person) {
        if !person.is_live() {
            self.end_person(person.id);
            return;
        }
        let (id, before) = (person.id, self.people.get(&person.id));
        let is_changed = before.is_some_and(|before| !before.may_as(&person));
        self.people.insert(id, person);
        if is_changed {
            self.cut_off(Holder::Person(id));
        }
    }

    /// Ends what goes on for a caller, which is let in as before.
    fn cut_off(&mut self, holder: Holder) {
        if let Holder::Key(id) = holder
            && let Some(held) = self.keys.get_mut(&id)
        {
            std::mem::take(&mut held.revocation).revoke();
        }
        for held in self.grants.values_mut().filter(|held| held.grant.holder == holder) {
            std::mem::take(&mut held.revocation).revoke();
        }
    }

    /// As the database has them. When somebody may less than before, what goes on for it ends.
    pub fn take_over_members(&mut self, rows: Vec<(Holder, Membership)>) {
        let mut now: HashMap<Holder, Vec<Membership>> = HashMap::new();
        rows.into_iter().for_each(|(holder, membership)| now.entry(holder).or_default().push(membership));
        let now = now.into_iter().map(|(holder, memberships)| (holder, memberships.into())).collect();
        let before = std::mem::replace(&mut self.members, now);
        for (holder, memberships) in before {
            if takes_away(&memberships, &self.memberships(holder)) {
                self.cut_off(holder);
            }
        }
    }

    pub fn end_person(&mut self, id: PersonId) {
        if self.people.remove(&id).is_some() {
            self.end_grants(|grant| grant.holder == Holder::Person(id));
        }
    }

    pub fn held_people(&self) -> Vec<PersonId> {
        self.people.keys().copied().collect()
    }

    /// Takes over what the database holds of the people that are held: another process may have signed them in, or denied
    /// them.
    pub fn take_over_people(&mut self, asked: &[PersonId], rows: Vec<Person>) {
        let there: HashSet<PersonId> = rows.iter().map(|person| person.id).collect();
        asked.iter().filter(|id| !there.contains(id)).for_each(|id| self.end_person(*id));
        rows.into_iter().for_each(|person| self.put_person(person));
    }

    pub fn end_grant(&mut self, digest: SecretDigest) {
        self.end_grants(|grant| grant.digest == digest);
    }

    /// A ticket ends with its session. Goes through all of them twice, however many end.
    fn end_grants(&mut self, is_over: impl Fn(&Grant) -> bool) {
        let over = self.grants.values().filter(|held| is_over(&held.grant)).map(|held| held.grant.digest);
        let over: HashSet<SecretDigest> = over.collect();
        let ends = |grant: &Grant| over.contains(&grant.digest) || grant.session.is_some_and(|of| over.contains(&of));
        for (digest, held) in self.grants.extract_if(|_, held| ends(&held.grant)) {
            held.revocation.revoke();
            self.ended.push(digest);
        }
    }

    /// Takes over what the database holds: another process may have made and revoked keys.
    pub fn take_over(&mut self, rows: Vec<(ApiKey, SecretDigest)>, now: Timestamp) {
        let there: HashSet<KeyId> = rows.iter().map(|(key, _)| key.id).collect();
        let gone = self.keys.keys().filter(|id| !there.contains(id)).copied().collect::<Vec<_>>();
        gone.into_iter().for_each(|id| self.end_key(id));
        for (key, digest) in rows {
            if key.is_live(now) && !self.keys.contains_key(&key.id) {
                self.add_key(key, digest);
            }
        }
    }

    /// Ends what has expired.
    pub fn sweep(&mut self, now: Timestamp) {
        let keys = self.keys.values().filter(|held| !held.key.is_live(now)).map(|held| held.key.id);
        keys.collect::<Vec<_>>().into_iter().for_each(|id| self.end_key(id));
        let (idle, told) = (self.session_idle, now - self.grace);
        self.end_grants(|grant| now >= grant.expires_at || !grant.is_live(idle, told));
        let holders: HashSet<_> = self.grants.values().map(|held| held.grant.holder).collect();
        self.people.retain(|id, _| holders.contains(&Holder::Person(*id)));
    }

    /// What is not written down yet, and counts as written from now on. The first use of a ticket is not put off: without
    /// it the ticket would not outlive a restart.
    pub fn take_uses(&mut self) -> Uses {
        let mut uses = Uses::default();
        for held in self.keys.values_mut() {
            uses.keys.extend(due(held.key.last_used_at, &mut held.noted, NOTED_EVERY).map(|used| (held.key.id, used)));
        }
        for held in self.grants.values_mut() {
            uses.grants.extend(
                due(held.grant.used_at, &mut held.noted, self.noted_every).map(|used| (held.grant.digest, used)),
            );
        }
        uses
    }

    /// What is over and to be deleted.
    pub fn take_ended(&mut self) -> Vec<SecretDigest> {
        std::mem::take(&mut self.ended)
    }

    /// They could not be deleted.
    pub fn put_back(&mut self, ended: Vec<SecretDigest>) {
        self.ended.extend(ended);
    }
}

fn due(used: Option<Timestamp>, noted: &mut Option<Timestamp>, every: Duration) -> Option<Timestamp> {
    let used = used?;
    let is_due = noted.is_none_or(|noted| (used - noted).to_std().is_ok_and(|passed| passed >= every));
    is_due.then(|| *noted.insert(used))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};

    use super::*;
    use crate::domain::principal::{Identity, Scope};
    use crate::domain::{RunId, WorkspaceId};

    fn at(seconds: i64) -> Timestamp {
        Utc.timestamp_opt(1_767_225_600 + seconds, 0).unwrap()
    }

    fn key(role: Role) -> ApiKey {
        ApiKey {
            id: KeyId::generate(),
            name: "k".into(),
            role,
            workspaces: Scope::Only(vec![WorkspaceId::generate()]),
            created_by: "local".into(),
            created_at: at(0),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    const OF_KEY: SecretDigest = SecretDigest([1; 32]);
    const OF_GRANT: SecretDigest = SecretDigest([2; 32]);

    fn book() -> Book {
        Book::new(Duration::from_secs(100))
    }

    fn grant(kind: GrantKind, of: &ApiKey) -> Grant {
        let (created_at, expires_at) = (at(0), at(1000));
        Grant {
            digest: OF_GRANT,
            kind,
            holder: Holder::Key(of.id),
            session: None,
            created_at,
            used_at: None,
            expires_at,
        }
    }

    fn session(csrf: Csrf) -> Shown {
        Shown::Session { digest: OF_GRANT, csrf }
    }

    #[test]
    fn a_key_lets_in_with_its_own_secret_and_what_it_may_do() {
        let (mut book, key) = (book(), key(Role::Operator));
        book.add_key(key.clone(), OF_KEY);
        let admitted = book.admit(&Shown::Key(key.id, OF_KEY), at(1)).unwrap();
        assert_eq!((admitted.principal, admitted.via), (key.principal(), Via::Key));
        for (id, digest) in [(key.id, OF_GRANT), (KeyId::generate(), OF_KEY)] {
            assert_eq!(book.admit(&Shown::Key(id, digest), at(1)).unwrap_err(), Refused::Unknown);
        }
        assert_eq!(book.admit(&Shown::Nothing, at(1)).unwrap_err(), Refused::NothingShown);
    }

    #[test]
    fn the_key_of_the_embedding_program_is_the_local_callers() {
        let (mut book, id) = (book(), KeyId::generate());
        book.set_local(id, OF_KEY);
        assert_eq!(book.admit(&Shown::Key(id, OF_KEY), at(0)).unwrap().principal, Principal::local());
        assert_eq!(book.admit(&Shown::Key(id, OF_GRANT), at(0)).unwrap_err(), Refused::Unknown);
        book.take_over(vec![], at(0));
        assert!(book.admit(&Shown::Key(id, OF_KEY), at(0)).is_ok(), "no database knows it");
    }

    #[test]
    fn a_session_acts_as_its_key_and_a_ticket_only_reads() {
        let (mut book, key) = (book(), key(Role::Admin));
        book.add_key(key.clone(), OF_KEY);
        book.add_grant(grant(GrantKind::Session, &key));
        assert_eq!(book.admit(&session(Csrf::Right), at(1)).unwrap().principal, key.principal());
        assert_eq!(book.admit(&session(Csrf::Wrong), at(1)).unwrap_err(), Refused::Csrf);
        assert_eq!(book.admit(&Shown::Ticket(OF_GRANT), at(1)).unwrap_err(), Refused::NoTicket);

        let stream = StreamId::from(RunId::generate());
        book.add_grant(grant(GrantKind::Ticket(stream), &key));
        let admitted = book.admit(&Shown::Ticket(OF_GRANT), at(1)).unwrap();
        assert_eq!((admitted.principal.role, admitted.via), (Role::Viewer, Via::Ticket(stream)));
        assert_eq!(admitted.principal.workspaces, key.workspaces);
        assert_eq!(book.admit(&session(Csrf::NotNeeded), at(1)).unwrap_err(), Refused::NoSession);
    }

    #[test]
    fn when_a_key_ends_everything_that_it_let_in_ends() {
        for end in [
            (|book: &mut Book, id| book.end_key(id)) as fn(&mut Book, KeyId),
            |book, _| book.take_over(vec![], at(2)),
            |book, _| book.sweep(at(500)),
        ] {
            let mut book = book();
            let key = ApiKey { expires_at: Some(at(500)), ..key(Role::Viewer) };
            book.add_key(key.clone(), OF_KEY);
            book.add_grant(grant(GrantKind::Session, &key));
            let by_key = book.admit(&Shown::Key(key.id, OF_KEY), at(1)).unwrap().revocation;
            let by_session = book.admit(&session(Csrf::NotNeeded), at(1)).unwrap().revocation;
            assert!(!by_key.is_revoked() && !by_session.is_revoked());
            end(&mut book, key.id);
            assert!(by_key.is_revoked() && by_session.is_revoked());
            assert_eq!(book.admit(&Shown::Key(key.id, OF_KEY), at(1)).unwrap_err(), Refused::Unknown);
            assert_eq!(book.admit(&session(Csrf::NotNeeded), at(1)).unwrap_err(), Refused::NoSession);
            assert_eq!(book.take_ended(), [OF_GRANT]);
        }
    }

    #[test]
    fn a_session_that_ends_leaves_its_key() {
        let (mut book, key) = (book(), key(Role::Viewer));
        book.add_key(key.clone(), OF_KEY);
        book.add_grant(grant(GrantKind::Session, &key));
        let by_key = book.admit(&Shown::Key(key.id, OF_KEY), at(1)).unwrap().revocation;
        let by_session = book.admit(&session(Csrf::NotNeeded), at(1)).unwrap().revocation;
        book.sweep(at(100));
        assert!(!by_session.is_revoked(), "used a second after it was made");
        book.sweep(at(101));
        assert!(by_session.is_revoked() && !by_key.is_revoked());
    }

    #[test]
    fn a_ticket_ends_with_the_session_that_asked_for_it() {
        let (mut book, key) = (book(), key(Role::Viewer));
        book.add_key(key.clone(), OF_KEY);
        book.add_grant(grant(GrantKind::Session, &key));
        let kind = GrantKind::Ticket(RunId::generate().into());
        let digest = SecretDigest([3; 32]);
        let ticket = Grant { digest, session: Some(OF_GRANT), ..grant(kind, &key) };
        book.add_grant(ticket.clone());
        let admitted = book.admit(&Shown::Ticket(digest), at(1)).unwrap();
        book.end_grant(OF_GRANT);
        assert!(admitted.revocation.is_revoked());
        assert_eq!(HashSet::from_iter(book.take_ended()), HashSet::from([OF_GRANT, digest]));
        book.add_grant(ticket);
        assert_eq!(book.take_ended(), [digest], "its session has ended meanwhile");
    }

    #[test]
    fn what_the_database_has_is_taken_over_and_what_is_held_stays_as_it_is() {
        let (mut book, held) = (book(), key(Role::Viewer));
        book.add_key(held.clone(), OF_KEY);
        let revocation = book.admit(&Shown::Key(held.id, OF_KEY), at(1)).unwrap().revocation;
        let (new, expired) = (key(Role::Admin), ApiKey { expires_at: Some(at(2)), ..key(Role::Admin) });
        book.take_over(vec![(held, OF_KEY), (new.clone(), OF_GRANT), (expired.clone(), OF_GRANT)], at(3));
        assert!(!revocation.is_revoked());
        assert!(book.admit(&Shown::Key(new.id, OF_GRANT), at(3)).is_ok());
        assert!(book.admit(&Shown::Key(expired.id, OF_GRANT), at(3)).is_err());
    }

    #[test]
    fn a_grant_without_its_key_is_deleted() {
        let mut book = book();
        book.add_grant(grant(GrantKind::Session, &key(Role::Viewer)));
        assert!(book.admit(&session(Csrf::NotNeeded), at(1)).is_err());
        assert_eq!(book.take_ended(), [OF_GRANT]);
        assert_eq!(book.take_ended(), []);
    }

    fn shared() -> Book {
        Book::shared(Duration::from_secs(100))
    }

    #[test]
    fn a_session_of_another_node_lets_in_until_that_one_ends_it() {
        let (mut book, key) = (shared(), key(Role::Operator));
        let session_of_key = grant(GrantKind::Session, &key);
        book.take_over_grants(vec![session_of_key.clone()], at(0));
        assert_eq!((book.admit(&session(Csrf::Right), at(1)).is_ok(), book.take_ended()), (false, vec![]));
        book.add_key(key, OF_KEY);
        book.take_over_grants(vec![session_of_key.clone()], at(0));
        let admitted = book.admit(&session(Csrf::Right), at(1)).unwrap();
        book.take_over_grants(vec![session_of_key.clone()], at(1));
        assert!(!admitted.revocation.is_revoked());
        book.take_over_grants(vec![], at(2));
        assert!(admitted.revocation.is_revoked() && book.admit(&session(Csrf::Right), at(2)).is_err());
        book.take_over_grants(vec![session_of_key], at(3));
        assert!(book.admit(&session(Csrf::Right), at(3)).is_err(), "it is to be deleted");
    }

    #[test]
    fn a_session_that_is_used_on_another_node_is_not_idle_here() {
        let (mut book, key) = (shared(), key(Role::Viewer));
        book.add_key(key.clone(), OF_KEY);
        let used = |second| Grant { used_at: Some(at(second)), ..grant(GrantKind::Session, &key) };
        book.take_over_grants(vec![used(1)], at(1));
        book.sweep(at(101));
        assert!(book.take_ended().is_empty(), "the other node may not have told yet");
        book.take_over_grants(vec![used(90)], at(102));
        assert!(book.admit(&session(Csrf::NotNeeded), at(103)).is_ok());
        assert_eq!(book.take_uses().grants, [], "the other node has noted it not long ago");
        book.admit(&session(Csrf::NotNeeded), at(116)).unwrap();
        assert_eq!(book.take_uses().grants, [(OF_GRANT, at(116))]);
        book.sweep(at(116 + 100 + 25 + 10));
        assert_eq!(book.take_ended(), [OF_GRANT]);
        let last = Grant { expires_at: at(1000), ..used(999) };
        book.take_over_grants(vec![last], at(999));
        book.sweep(at(1000));
        assert_eq!(book.take_ended(), [OF_GRANT], "its end is nothing that another node decides");
    }

    #[test]
    fn uses_are_written_down_at_once_and_then_once_a_minute() {
        let (mut book, key) = (book(), key(Role::Viewer));
        book.add_key(key.clone(), OF_KEY);
        assert_eq!(book.take_uses(), Uses::default());
        let mut noted = Vec::new();
        for second in [1, 2, 59, 61, 62, 121] {
            book.admit(&Shown::Key(key.id, OF_KEY), at(second)).unwrap();
            noted.extend(book.take_uses().keys.into_iter().map(|(_, used)| (used - at(0)).num_seconds()));
        }
        assert_eq!(noted, [1, 61, 121]);
    }

    fn person(role: Role) -> Person {
        Person {
            id: PersonId::generate(),
            identity: Identity { issuer: "https://login.example".into(), subject: "s".into() }.into(),
            name: "Ada".into(),
            role,
            workspaces: Scope::All,
            created_at: at(0),
            signed_in_at: at(0),
            denied_at: None,
        }
    }

    fn grant_of(person: &Person) -> Grant {
        Grant { holder: Holder::Person(person.id), ..grant(GrantKind::Session, &key(Role::Viewer)) }
    }

    #[test]
    fn a_person_acts_as_it_may_at_the_last_sign_in_and_what_goes_on_under_another_role_ends() {
        let (mut book, person) = (book(), person(Role::Admin));
        book.put_person(person.clone());
        book.add_grant(grant_of(&person));
        let admitted = book.admit(&session(Csrf::Right), at(1)).unwrap();
        assert_eq!(admitted.principal, person.principal());
        book.put_person(Person { name: "Ada L.".into(), signed_in_at: at(2), ..person.clone() });
        assert!(!admitted.revocation.is_revoked(), "it may do the same");
        book.put_person(Person { role: Role::Viewer, ..person.clone() });
        assert!(admitted.revocation.is_revoked());
        let again = book.admit(&session(Csrf::Right), at(3)).unwrap();
        assert_eq!((again.principal.role, again.revocation.is_revoked()), (Role::Viewer, false));
        assert_eq!(book.take_ended(), []);
    }

    #[test]
    fn a_person_who_is_denied_or_gone_is_let_in_no_more() {
        let denied = |book: &mut Book, person: &Person| {
            book.take_over_people(&[person.id], vec![Person { denied_at: Some(at(2)), ..person.clone() }]);
        };
        for end in [denied as fn(&mut Book, &Person), |book, person| book.take_over_people(&[person.id], vec![])] {
            let (mut book, person) = (book(), person(Role::Operator));
            book.put_person(person.clone());
            book.add_grant(grant_of(&person));
            let admitted = book.admit(&session(Csrf::Right), at(1)).unwrap();
            end(&mut book, &person);
            assert!(admitted.revocation.is_revoked());
            assert_eq!(book.admit(&session(Csrf::Right), at(2)).unwrap_err(), Refused::NoSession);
            assert_eq!((book.take_ended(), book.held_people()), (vec![OF_GRANT], vec![]));
        }
    }

    #[test]
    fn a_member_may_more_at_once_and_less_only_after_what_goes_on_is_cut_off() {
        use crate::domain::member::MemberRole::{Operator, Viewer};
        let (mut book, key) = (book(), key(Role::Viewer));
        let (id, workspace_id) = (Holder::Key(key.id), WorkspaceId::generate());
        book.add_key(key.clone(), OF_KEY);
        book.add_grant(grant(GrantKind::Session, &key));
        let let_in = |book: &mut Book| {
            let by_key = book.admit(&Shown::Key(key.id, OF_KEY), at(1)).unwrap();
            [by_key, book.admit(&session(Csrf::Right), at(1)).unwrap()]
        };
        let before = let_in(&mut book);
        for role in [Viewer, Operator] {
            book.take_over_members(vec![(id, Membership { workspace_id, role })]);
            assert!(before.iter().all(|admitted| !admitted.revocation.is_revoked()), "{role}");
            for admitted in let_in(&mut book) {
                assert!(admitted.reader().workspaces.allows(workspace_id));
                assert_eq!(admitted.acting_as(Role::Operator).is_some(), role == Operator);
            }
        }
        book.take_over_members(vec![]);
        assert!(before.iter().all(|admitted| admitted.revocation.is_revoked()));
        for admitted in let_in(&mut book) {
            assert!(!admitted.revocation.is_revoked() && !admitted.reader().workspaces.allows(workspace_id));
        }
        assert_eq!(book.take_ended(), [], "nobody is thrown out");
    }

    #[test]
    fn a_person_is_forgotten_with_its_last_grant() {
        let (mut book, person) = (book(), person(Role::Viewer));
        book.put_person(person.clone());
        book.add_grant(grant_of(&person));
        book.sweep(at(50));
        assert_eq!(book.held_people(), [person.id]);
        book.sweep(at(100));
        assert_eq!((book.held_people(), book.take_ended()), (vec![], vec![OF_GRANT]));
    }

    #[test]
    fn one_key_does_not_take_the_room_of_all() {
        let (mut book, one, other) = (book(), key(Role::Viewer), key(Role::Viewer));
        book.add_key(one.clone(), OF_KEY);
        book.add_key(other.clone(), OF_KEY);
        for number in 0..MAX_GRANTS_OF_HOLDER as u64 {
            assert_eq!(book.check_room_for_grant(Holder::Key(one.id)), Ok(()));
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            book.add_grant(Grant { digest: SecretDigest(digest), ..grant(GrantKind::Session, &one) });
        }
        assert_eq!(book.check_room_for_grant(Holder::Key(one.id)), Err(Full { limit: MAX_GRANTS_OF_HOLDER }));
        assert_eq!(book.check_room_for_grant(Holder::Key(other.id)), Ok(()));
        book.sweep(at(0) + TimeDelta::days(1));
        assert_eq!(book.check_room_for_grant(Holder::Key(one.id)), Ok(()));
    }
}
