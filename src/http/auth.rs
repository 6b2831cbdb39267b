//! Who is calling, and what a handler takes for granted of its caller.
//!
//! Invariant: a handler that has a caller at all has one of at least the role that its extractor names, limited to the
//! workspaces in which it has it; and who is let in by a ticket gets no further than the ticket's stream. Anybody else is
//! answered before it runs. A handler without one of these can see nothing.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use super::problem::{Code, Problem};
use crate::access::book::{Admitted, Refused, Via};
use crate::domain::principal::{Principal, Role, Scope};
use crate::domain::{StreamId, WorkspaceId};

/// What sign-in has decided about a request; in its extensions.
#[derive(Clone)]
pub struct Decision(pub Result<Admitted, Refused>);

macro_rules! callers {
    ($($(#[$doc:meta])* $role:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $role(pub Principal);

        impl FromRequest for $role {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let caller = KeyHolder::of(request);
                ready(caller.and_then(|KeyHolder(admitted)| permitted(&admitted, Role::$role, request)).map(Self))
            }
        }
    )*};
}

callers! {
    /// A caller who may read.
    Viewer;
    /// A caller who may change what is in its workspaces.
    Operator;
    /// A caller who may do everything.
    Admin;
}

/// A caller who may read the stream whose id the path has as `id`: who may read anything in its workspace, or has a
/// ticket for it.
#[derive(Debug)]
pub struct StreamReader(pub Principal);

impl FromRequest for StreamReader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let wanted = request.match_info().get("id").and_then(StreamId::parse);
        ready(admitted(request).and_then(|admitted| match admitted.via {
            Via::Ticket(stream) if wanted != Some(stream) => Err(elsewhere()),
            Via::Ticket(_) | Via::Key | Via::Session(_) => Ok(Self(admitted.reader())),
        }))
    }
}

/// A caller who may read about all workspaces at once: a viewer is enough whose key is for all of them.
#[derive(Debug)]
pub struct Overseer(pub Principal);

impl FromRequest for Overseer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Viewer::from_request(request, payload).into_inner();
        ready(caller.and_then(|Viewer(principal)| match principal.workspaces {
            Scope::All => Ok(Self(principal)),
            Scope::Only(_) => Err(Problem::new(Code::AllWorkspacesRequired, "this is about all workspaces")),
        }))
    }
}

/// A caller by key or session, of whatever role.
#[derive(Debug)]
pub struct KeyHolder(pub Admitted);

impl KeyHolder {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        admitted(request).and_then(|admitted| match admitted.via {
            Via::Ticket(_) => Err(elsewhere()),
            Via::Key | Via::Session(_) => Ok(Self(admitted)),
        })
    }
}

impl FromRequest for KeyHolder {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

fn elsewhere() -> Problem {
    Problem::new(Code::TicketElsewhere, "the ticket is for the events of one stream, and not for this")
}

fn admitted(request: &HttpRequest) -> Result<Admitted, Problem> {
    let decision = request.extensions().get::<Decision>().cloned();
    // Without a decision nobody has been let in.
    decision.map_or(Err(Refused::NothingShown), |Decision(outcome)| outcome).map_err(Problem::from)
}

/// The caller, limited to the workspaces in which it has the role. Where the path names one that it sees, and has not the role
/// in, it is told so.
fn permitted(admitted: &Admitted, needed: Role, request: &HttpRequest) -> Result<Principal, Problem> {
    let Some(principal) = admitted.acting_as(needed) else { return Err(too_low(admitted.principal.role, needed)) };
    let named = request.match_info().get("workspace").and_then(|id| WorkspaceId::parse(id).ok());
    let is_only_seen = |id| !principal.workspaces.allows(id) && admitted.reader().workspaces.allows(id);
    match named {
        Some(id) if is_only_seen(id) => Err(too_low(Role::Viewer, needed)),
        _ => Ok(principal),
    }
}

fn too_low(own: Role, needed: Role) -> Problem {
    let detail = format!("this needs the role `{needed}`; the caller's is `{own}`");
    Problem::new(Code::RoleRequired, detail).with("required_role", needed.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::access::revocation::Revocation;
    use crate::domain::RunId;
    use crate::domain::member::{MemberRole, Membership};

    fn request(via: Via, role: Role, id: &str) -> HttpRequest {
        let principal = Principal { role, ..Principal::local() };
        let request = TestRequest::get().param("id", id.to_owned()).to_http_request();
        let admitted = Admitted { principal, memberships: Arc::default(), via, revocation: Revocation::default() };
        request.extensions_mut().insert(Decision(Ok(admitted)));
        request
    }

    fn code<T>(outcome: Ready<Result<T, Problem>>) -> Option<Code> {
        outcome.into_inner().err().map(|problem| problem.code)
    }

    #[test]
    fn a_role_that_is_not_enough_is_told_which_one_is() {
        for (has, needs, is_enough) in [
            (Role::Viewer, Role::Viewer, true),
            (Role::Admin, Role::Viewer, true),
            (Role::Operator, Role::Operator, true),
            (Role::Viewer, Role::Operator, false),
            (Role::Operator, Role::Admin, false),
        ] {
            let caller = Admitted { principal: Principal { role: has, ..Principal::local() }, ..Admitted::local() };
            let outcome = permitted(&caller, needs, &TestRequest::get().to_http_request());
            assert_eq!(outcome.is_ok(), is_enough, "{has} {needs}");
            if let Err(problem) = outcome {
                assert_eq!(
                    (problem.code, &problem.extra["required_role"]),
                    (Code::RoleRequired, &needs.as_str().into())
                );
            }
        }
    }

    #[test]
    fn a_role_is_had_in_some_workspaces_and_the_path_may_name_another() {
        let [read, written, foreign] = [(); 3].map(|()| WorkspaceId::generate());
        let principal = Principal { role: Role::Viewer, workspaces: Scope::Only(vec![read]), ..Principal::local() };
        let memberships = [Membership { workspace_id: written, role: MemberRole::Operator }].into();
        let caller = Admitted { principal, memberships, ..Admitted::local() };
        let at = |id: WorkspaceId| TestRequest::get().param("workspace", id.to_string()).to_http_request();
        let may = |needed, id| permitted(&caller, needed, &at(id)).map(|principal| principal.workspaces);
        let all = Scope::Only(vec![read, written]);
        assert_eq!(may(Role::Viewer, foreign).unwrap(), all, "a finder says that it is not there");
        for id in [written, foreign] {
            assert_eq!(may(Role::Operator, id).unwrap(), Scope::Only(vec![written]));
        }
        assert_eq!(may(Role::Operator, read).unwrap_err().code, Code::RoleRequired);
        assert_eq!(may(Role::Admin, written).unwrap_err().code, Code::RoleRequired);
    }

    #[test]
    fn a_request_that_nobody_has_decided_about_is_nobodys() {
        let request = TestRequest::get().to_http_request();
        let mut none = Payload::None;
        assert_eq!(code(Viewer::from_request(&request, &mut none)), Some(Code::SignInRequired));
        assert_eq!(code(StreamReader::from_request(&request, &mut none)), Some(Code::SignInRequired));
        request.extensions_mut().insert(Decision(Err(Refused::Unknown)));
        assert_eq!(code(Admin::from_request(&request, &mut none)), Some(Code::CredentialsRefused));
    }

    #[test]
    fn a_ticket_opens_its_own_stream_and_nothing_else() {
        let run = RunId::generate();
        let ticket = |id: &str| request(Via::Ticket(run.into()), Role::Viewer, id);
        let mut none = Payload::None;
        assert_eq!(code(StreamReader::from_request(&ticket(&run.to_string()), &mut none)), None);
        for elsewhere in [RunId::generate().to_string(), "run_x".into(), String::new()] {
            let refused = code(StreamReader::from_request(&ticket(&elsewhere), &mut none));
            assert_eq!(refused, Some(Code::TicketElsewhere), "{elsewhere}");
        }
        assert_eq!(code(Viewer::from_request(&ticket(&run.to_string()), &mut none)), Some(Code::TicketElsewhere));
        assert_eq!(code(StreamReader::from_request(&request(Via::Key, Role::Viewer, "x"), &mut none)), None);
    }
}
