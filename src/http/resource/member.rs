//! Members of workspaces, and the people who may become some.

use serde::Serialize;
use utoipa::ToSchema;

use super::api_key::workspaces;
use crate::domain::access::{Holder, Person};
use crate::domain::member::{Member, MemberRole};
use crate::domain::principal::Role;
use crate::domain::{PersonId, WorkspaceId, time};

#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberResource<'a> {
    /// Of the key or the person.
    id: Holder,
    #[schema(pattern = "^ade[.]member$")]
    object: &'static str,
    #[schema(pattern = "^(key|person)$")]
    kind: &'static str,
    name: &'a str,
    role: MemberRole,
    added_by: &'a str,
    #[schema(format = DateTime)]
    added_at: String,
}

#[derive(Serialize, ToSchema)]
pub struct MemberList<'a> {
    items: Vec<MemberResource<'a>>,
    total: usize,
}

impl<'a> MemberResource<'a> {
    pub fn of(member: &'a Member) -> Self {
        Self {
            id: member.holder,
            object: "ade.member",
            kind: match member.holder {
                Holder::Key(_) => "key",
                Holder::Person(_) => "person",
            },
            name: &member.name,
            role: member.role,
            added_by: &member.added_by,
            added_at: time::format(member.added_at),
        }
    }
}

impl<'a> MemberList<'a> {
    pub fn of(members: &'a [Member]) -> Self {
        Self { items: members.iter().map(MemberResource::of).collect(), total: members.len() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonResource<'a> {
    id: PersonId,
    #[schema(pattern = "^ade[.]person$")]
    object: &'static str,
    issuer: &'a str,
    subject: &'a str,
    /// What they call themselves.
    name: &'a str,
    /// By their groups.
    role: Role,
    /// Null for all.
    workspaces: Option<&'a [WorkspaceId]>,
    /// When they came last, let in or not.
    #[schema(format = DateTime)]
    signed_in_at: String,
    /// Since when they have not been let in.
    #[schema(format = DateTime)]
    denied_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct PersonList<'a> {
    items: Vec<PersonResource<'a>>,
}

impl<'a> PersonList<'a> {
    pub fn of(people: &'a [Person]) -> Self {
        Self { items: people.iter().map(PersonResource::of).collect() }
    }
}

impl<'a> PersonResource<'a> {
    fn of(person: &'a Person) -> Self {
        Self {
            id: person.id,
            object: "ade.person",
            issuer: &person.identity.issuer,
            subject: &person.identity.subject,
            name: &person.name,
            role: person.role,
            workspaces: workspaces(&person.workspaces),
            signed_in_at: time::format(person.signed_in_at),
            denied_at: person.denied_at.map(time::format),
        }
    }
}
