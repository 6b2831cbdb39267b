//! Members of workspaces, for admins to change and for whoever may read there to see.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::oidc::Provider;
use super::workspaces::workspace;
use crate::access::Access;
use crate::domain::WorkspaceId;
use crate::domain::access::Holder;
use crate::domain::member::MemberRole;
use crate::domain::principal::{Identity, Principal};
use crate::http::auth::{Admin, Viewer};
use crate::http::contract::Routes;
use crate::http::input::{self, Json};
use crate::http::paths;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::query::NoQuery;
use crate::http::resource::member::{MemberList, MemberResource, PersonList};
use crate::registry::RegistryHandle;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/workspaces/{workspace}/members", |at| {
            at.post(add, |op| {
                op.named(
                    "add_member",
                    "Let a key or a person do something in a workspace, besides what they may anyway.",
                )
                .takes::<NewMember>()
                .creates::<MemberResource>("The member.")
                .refuses(&[Code::AlreadyMember, Code::TooManyMembers, Code::InvalidId])
            })
            .read(list, |op| {
                op.named("list_members", "List the members of a workspace.")
                    .notes("Keys and people that may do something there without being members are not among them.")
                    .answers::<MemberList>(200, "All of them, the first that was added first.")
            })
        })
        .at("/workspaces/{workspace}/members/{member}", |at| {
            at.put(change, |op| {
                op.named("change_member", "Give a member another role.")
                    .takes::<ChangedMember>()
                    .answers::<MemberResource>(200, "The member.")
            })
            .patch(change, |op| {
                op.named("update_member", "As `PUT`.")
                    .takes::<ChangedMember>()
                    .answers::<MemberResource>(200, "The member.")
            })
            .delete(remove, |op| {
                op.named("remove_member", "What goes on for it in the workspace ends.")
                    .empty(204, "It is none any more.")
            })
            .read(show, |op| op.named("show_member", "Show a member.").answers::<MemberResource>(200, "The member."))
        })
        .at("/people", |at| {
            at.read(people, |op| {
                op.named("list_people", "List whom a provider of OpenID Connect has named.")
                    .answers::<PersonList>(200, "At most 1,000, who came last first.")
            })
        });
}

#[derive(Deserialize, ToSchema)]
#[schema(as = MemberToAdd)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// The id of a key or a person; or null, and `subject` says who.
    #[schema(value_type = Option<Holder>)]
    member: Option<String>,
    /// Of a person, as the provider names them; they have tried to sign in at least once.
    subject: Option<String>,
    role: MemberRole,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = MemberChange)]
#[serde(deny_unknown_fields)]
struct ChangedMember {
    role: MemberRole,
}

async fn add(
    Admin(principal): Admin,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    oidc: Provider,
    (id, request): (web::Path<WorkspaceId>, HttpRequest),
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let id = workspace(&registry, &principal, *id).await?;
    let new: NewMember = body.required()?;
    let holder = holder(&new, &registry, &oidc).await?;
    let member = access.add_member(id, holder, new.role, &principal).await?;
    tracing::info!(member = %member.holder, workspace = %id, role = %member.role, by = principal.name, "member added");
    let location = paths::member(id, member.holder);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(MemberResource::of(&member)))
}

/// Who is meant, and what they are called.
async fn holder(new: &NewMember, registry: &RegistryHandle, oidc: &Provider) -> Result<(Holder, String), Problem> {
    let (place, found) = match (&new.member, &new.subject) {
        (Some(member), None) => {
            let holder: Holder = input::id_at("member", member)?;
            ("member", registry.store().holder_name(holder).await?.map(|name| (holder, name)))
        }
        (None, Some(subject)) => ("subject", person(registry, oidc, subject).await?),
        _ => {
            return Err(Problem::invalid(
                "member",
                "the id of a key or a person; or left out, with `subject` in its place",
            ));
        }
    };
    found.ok_or_else(|| {
        let detail = format!("there is no such {}", if place == "member" { "key or person" } else { "person" });
        let error = FieldError::new(place, "not_found", &detail);
        Problem::new(Code::InvalidRequest, detail).error(error)
    })
}

/// Subjects are those of the provider that signs people in now.
async fn person(
    registry: &RegistryHandle,
    oidc: &Provider,
    subject: &str,
) -> Result<Option<(Holder, String)>, Problem> {
    let Some(oidc) = oidc.as_ref() else { return Ok(None) };
    let identity = Identity { issuer: oidc.issuer().to_owned(), subject: subject.to_owned() };
    let found = registry.store().find_person(&identity).await?;
    Ok(found.map(|person| (Holder::Person(person.id), person.name)))
}

async fn list(
    Viewer(principal): Viewer,
    _: NoQuery,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, Problem> {
    let id = workspace(&registry, &principal, *id).await?;
    let members = registry.store().members(&principal.workspaces, id).await?;
    Ok(HttpResponse::Ok().json(MemberList::of(&members)))
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, Holder)>,
) -> Result<HttpResponse, Problem> {
    shown(&registry, &principal, path.into_inner()).await
}

async fn shown(
    registry: &RegistryHandle,
    principal: &Principal,
    (id, holder): (WorkspaceId, Holder),
) -> Result<HttpResponse, Problem> {
    let found = registry.store().find_member(&principal.workspaces, id, holder).await?;
    Ok(HttpResponse::Ok().json(MemberResource::of(&found.ok_or_else(no_member)?)))
}

fn no_member() -> Problem {
    Problem::not_found("the member")
}

async fn change(
    Admin(principal): Admin,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, Holder)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let (id, holder) = path.into_inner();
    let id = workspace(&registry, &principal, id).await?;
    let ChangedMember { role } = body.required()?;
    if !access.change_member(id, holder, role).await? {
        return Err(no_member());
    }
    tracing::info!(member = %holder, workspace = %id, %role, by = principal.name, "member changed");
    shown(&registry, &principal, (id, holder)).await
}

async fn remove(
    Admin(principal): Admin,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, Holder)>,
) -> Result<HttpResponse, Problem> {
    let (id, holder) = path.into_inner();
    let id = workspace(&registry, &principal, id).await?;
    if !access.remove_member(id, holder).await? {
        return Err(no_member());
    }
    tracing::info!(member = %holder, workspace = %id, by = principal.name, "member removed");
    Ok(HttpResponse::NoContent().finish())
}

async fn people(_: Admin, _: NoQuery, registry: web::Data<RegistryHandle>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(PersonList::of(&registry.store().latest_people().await?)))
}
