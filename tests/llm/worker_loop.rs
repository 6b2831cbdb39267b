//! A call with its retries, as a worker makes it.

use std::time::Duration;

use ade::llm::retry::{Decision, Policy};
use ade::llm::{Provider, ProviderError, Reply, complete};

use crate::support::{DIALECTS, Mock, answer, chunk, head, limits, request, streamed};

async fn with_retries(provider: &dyn Provider, policy: Policy) -> (Result<Reply, ProviderError>, Vec<Duration>) {
    let mut pauses = Vec::new();
    loop {
        let attempt = u32::try_from(pauses.len()).unwrap() + 1;
        match complete(provider.call(request()), |_| {}).await {
            Ok(reply) => return (Ok(reply), pauses),
            Err(error) => match policy.decide(&error, attempt, 0.0) {
                Decision::Again { after } => {
                    tokio::time::sleep(after).await;
                    pauses.push(after);
                }
                Decision::GiveUp => return (Err(error), pauses),
            },
        }
    }
}

const POLICY: Policy =
    Policy { max_attempts: 4, delay: Duration::from_millis(2), max_delay: Duration::from_millis(50) };

#[actix_web::test]
async fn a_call_succeeds_once_the_fault_is_over() {
    for dialect in DIALECTS {
        let scripts = vec![
            vec![answer("429 Too Many Requests", &[("retry-after-ms", "20")], &dialect.refusal("x", "slow down"))],
            vec![answer("529 Overloaded", &[], "")],
            vec![head(), chunk(&dialect.delta("half"))],
            streamed(&dialect.stream(&["whole"]), 100),
        ];
        let mock = Mock::start(scripts).await;
        let provider = dialect.provider(&mock.address, limits());
        let (reply, pauses) = with_retries(&*provider, POLICY).await;
        assert_eq!(reply.unwrap().content, "whole");
        assert_eq!(pauses, [20, 2, 4].map(Duration::from_millis));
        assert_eq!(mock.seen().len(), 4);
    }
}

#[actix_web::test]
async fn a_call_that_keeps_failing_is_given_up() {
    let mock = Mock::start(vec![vec![answer("500 Internal Server Error", &[], "no")]]).await;
    let provider = DIALECTS[0].provider(&mock.address, limits());
    let (reply, _) = with_retries(&*provider, POLICY).await;
    assert_eq!((reply.unwrap_err().kind().as_str(), mock.seen().len()), ("server", 4));
}
