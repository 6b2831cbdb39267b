//! How often a caller may ask.
//!
//! Law: callers who have been let in are told apart by their key or person, all others by where they are; so nobody can use up what
//! is another's. What is remembered of a caller goes when it would be as if it had never asked.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use super::auth::Decision;
use super::forward::Forwarded;
use super::peer::Client;
use super::problem::{Code, Problem};
use crate::domain::access::Holder;

/// Paths that are asked by those who must know, and cost little.
pub const UNLIMITED: &str = "/health/";
/// How often what is known of callers is looked through, in requests.
const SWEEP: u64 = 10_000;

/// Whom requests are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// By the id of the key or the person, which is no secret.
    Known(Holder),
    /// A machine, or a network of which a client has every address.
    Place(IpAddr),
    /// A connection that has gone.
    Nowhere,
}

impl Caller {
    pub fn at(address: Option<IpAddr>) -> Self {
        match address {
            None => Self::Nowhere,
            Some(IpAddr::V4(address)) => Self::Place(address.into()),
            // A customer has at least a /64.
            Some(IpAddr::V6(address)) => Self::Place(Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into()),
        }
    }
}

/// Refuses who asks too often, [`UNLIMITED`] paths aside.
pub async fn limit_rate(
    limit: web::Data<Option<RateLimit>>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Some(limit) = &**limit
        && !request.path().starts_with(UNLIMITED)
        // It was counted where it was asked.
        && request.extensions().get::<Forwarded>().is_none()
        && let Err(wait) = limit.check(&caller_of(&request))
    {
        let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        let problem = Problem::new(Code::RateLimited, "too many requests of this caller");
        return Err(problem.retry_after(seconds).into());
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

fn caller_of(request: &ServiceRequest) -> Caller {
    let extensions = request.extensions();
    let admitted = extensions.get::<Decision>().and_then(|Decision(outcome)| outcome.as_ref().ok());
    match admitted.and_then(|admitted| Holder::of(&admitted.principal.who)) {
        Some(holder) => Caller::Known(holder),
        None => Caller::at(extensions.get::<Client>().and_then(|client| client.address)),
    }
}

/// Requests per second for each caller, and twice as many at once.
pub struct RateLimit {
    limiter: DefaultKeyedRateLimiter<Caller>,
    clock: DefaultClock,
    asked: AtomicU64,
}

impl RateLimit {
    pub fn per_second(requests: NonZeroU32) -> Self {
        let quota =
            Quota::per_second(requests).allow_burst(requests.saturating_mul(NonZeroU32::new(2).unwrap_or(requests)));
        let clock = DefaultClock::default();
        Self { limiter: DefaultKeyedRateLimiter::keyed(quota), clock, asked: AtomicU64::new(0) }
    }

    /// How long a caller who asks too often is to wait.
    pub fn check(&self, caller: &Caller) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(caller).map_err(|denied| denied.wait_time_from(self.clock.now()))
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.limiter.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyId;

    #[test]
    fn a_caller_has_its_burst_and_then_waits_and_others_do_not() {
        let limit = RateLimit::per_second(NonZeroU32::new(5).unwrap());
        let [one, other] = [(); 2].map(|()| Caller::Known(Holder::Key(KeyId::generate())));
        let allowed = (0..100).filter(|_| limit.check(&one).is_ok()).count();
        assert!((10..20).contains(&allowed), "{allowed}");
        let wait = (0..100).find_map(|_| limit.check(&one).err()).unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(200), "{wait:?}");
        assert_eq!(limit.check(&other), Ok(()));
    }

    #[test]
    fn a_network_is_one_caller() {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap()));
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }

    #[test]
    fn callers_who_are_gone_are_forgotten() {
        let limit = RateLimit::per_second(NonZeroU32::new(1_000_000).unwrap());
        for n in 0..SWEEP as u32 * 3 {
            limit.check(&Caller::at(Some(IpAddr::from(n.to_be_bytes())))).unwrap();
        }
        assert!(limit.remembered() < SWEEP as usize * 2, "{}", limit.remembered());
    }
}
