//! Everything that the service counts, for Prometheus.

use std::fmt;
use std::sync::Arc;

use actix_web::{HttpResponse, web};

use crate::depot::Depot;
use crate::http::auth::Overseer;
use crate::http::connection::Connections;
use crate::http::contract::{self, Routes};
use crate::http::exposition::{Exposition, Labels, exposition};
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::requests::RequestMeters;
use crate::log::{JournalState, Progress};
use crate::registry::{RegistryHandle, Services};

/// OpenMetrics; Prometheus takes it as it is.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn mount(routes: &mut Routes) {
    routes.at("/metrics", |at| {
        at.read(metrics, |op| {
            op.named("show_metrics", "Everything that the service counts, for Prometheus.").content(
                200,
                "application/openmetrics-text",
                contract::text(),
                "OpenMetrics.",
            )
        })
    });
}

async fn metrics(
    _: Overseer,
    _: NoQuery,
    registry: web::Data<RegistryHandle>,
    requests: web::Data<RequestMeters>,
    connections: web::Data<Connections>,
) -> Result<HttpResponse, Problem> {
    let (registry, requests) = (registry.into_inner(), requests.into_inner());
    let open = connections.open();
    let text = exposition(move |to| {
        let services = registry.services();
        of_service(to, &registry)?;
        of_streams(to, services)?;
        of_log(to, services)?;
        of_files(to, &services.depot)?;
        of_work(to, services)?;
        of_calls(to, services)?;
        of_requests(to, &requests, open)
    });
    let text = text.map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

fn none() -> Labels<'static> {
    Vec::new()
}

fn of_service(to: &mut Exposition<'_>, registry: &RegistryHandle) -> fmt::Result {
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    to.gauge("build_info", "The version of the service; always 1", [(version, 1_i64)])?;
    to.gauge("safe_mode", "1 while nothing new begins", [(none(), i64::from(registry.safe_mode().enabled))])?;
    to.gauge("draining", "1 while the service stops", [(none(), i64::from(registry.is_draining()))])?;
    let pool = registry.store().pool();
    let states = [("idle", pool.idle), ("used", pool.open.saturating_sub(pool.idle))];
    let states = states.map(|(state, count)| (vec![("state", state)], i64::from(count)));
    to.gauge("database_connections", "Connections to the database", states)?;
    to.gauge("database_connections_max", "Connections that there may be", [(none(), i64::from(pool.max))])
}

fn of_streams(to: &mut Exposition<'_>, services: &Services) -> fmt::Result {
    let all = || services.streams.iter().map(|(kind, meters)| (vec![("kind", kind)], meters));
    to.counter("events_appended", "Events that have become durable", all().map(|(kind, of)| (kind, of.events.get())))?;
    to.amounts(
        "batch_events",
        "Events of a commit of a stream",
        all().map(|(kind, of)| (kind, of.batch_events.read())),
    )?;
    let help = "From the taking of a commit's first event until all of it is durable and shown";
    to.seconds("append_duration", help, all().map(|(kind, of)| (kind, of.append.read())))?;
    let help = "From the taking of a commit's first event until the first waiting reader has it";
    to.seconds("delivery_latency", help, all().map(|(kind, of)| (kind, of.delivery.read())))?;
    to.gauge("stream_readers", "Clients that follow streams", all().map(|(kind, of)| (kind, of.readers.get())))?;
    let help = "Clients that fell out of the live window and went on from the file";
    to.counter("stream_reader_demotions", help, all().map(|(kind, of)| (kind, of.demotions.get())))?;
    let help = "How many events such clients were behind";
    to.amounts("stream_reader_lag_events", help, all().map(|(kind, of)| (kind, of.lag.read())))?;
    let help = "Streams that accept no more since their log could not be written";
    to.counter("streams_degraded", help, all().map(|(kind, of)| (kind, of.degraded.get())))?;
    let help = "Actors of streams that were started again after a panic";
    to.counter("stream_actor_restarts", help, all().map(|(kind, of)| (kind, of.restarts.get())))
}

fn of_log(to: &mut Exposition<'_>, services: &Services) -> fmt::Result {
    let (totals, found) = (services.log.metrics(), services.log.distributions());
    let paths = [("journal", found.journal_latency), ("file", found.direct_latency)];
    let paths = paths.map(|(path, found)| (vec![("path", path)], found));
    to.seconds("log_sync_duration", "Writing and syncing: a round of the journal, or a batch in its own file", paths)?;
    to.amounts(
        "log_round_batches",
        "Batches that one sync of the journal made durable",
        [(none(), found.round_batches)],
    )?;
    of_cluster(to, &services.log.journal_state())?;
    of_nodes(to, services)?;
    for (name, help, count) in [
        ("log_batches", "Batches that have become durable", totals.batches),
        ("log_written_bytes", "Bytes of lines that have become durable", totals.bytes),
        ("log_batches_failed", "Batches whose write or sync failed", totals.failed_batches),
        (
            "log_journal_failures",
            "Rounds of the journal that failed; after the first it is out of use",
            totals.journal_failures,
        ),
        ("log_torn_tails", "Logs that ended in a torn event and were cut", totals.torn_tails),
        ("logs_compressed", "Logs that maintenance has compressed", totals.compressed_logs),
        ("logs_archived", "Logs that maintenance has moved into the archive", totals.archived_logs),
        ("logs_deleted", "Logs that retention has deleted", totals.deleted_logs),
        (
            "log_freed_bytes",
            "Bytes of the disk that compressing, archiving and deleting have freed",
            totals.freed_bytes,
        ),
    ] {
        to.counter(name, help, [(none(), count)])?;
    }
    Ok(())
}

/// Only where files are in an object store.
fn of_files(to: &mut Exposition<'_>, depot: &Depot) -> fmt::Result {
    if !depot.has_store() {
        return Ok(());
    }
    let meters = depot.meters();
    let help = "Files that the object store did not have yet when maintenance last looked";
    to.gauge("files_owed", help, [(none(), meters.owed() as i64)])?;
    for (name, help, count) in [
        ("files_stored", "Files put into the object store, and read back", &meters.put),
        ("files_fetched", "Files brought from the object store to the disk", &meters.fetched),
        ("files_released", "Copies on the disk that have made room", &meters.released),
        ("files_removed", "Files removed from the object store", &meters.removed),
        ("files_failed", "Times that the object store did not take or give a file", &meters.failed),
    ] {
        to.counter(name, help, [(none(), count.get())])?;
    }
    Ok(())
}

/// Only of a journal that other machines keep.
fn of_cluster(to: &mut Exposition<'_>, state: &JournalState) -> fmt::Result {
    if !state.is_replicated {
        return Ok(());
    }
    let is_reachable = i64::from(state.unreachable.is_none());
    to.gauge("log_cluster_reachable", "1 while the cluster takes rounds of the journal", [(none(), is_reachable)])?;
    let help = "1 once the journal takes nothing more from this process";
    to.gauge("log_cluster_halted", help, [(none(), i64::from(state.halted.is_some()))])?;
    to.counter("log_cluster_rounds", "Rounds that the cluster has stored", [(none(), state.rounds)])?;
    let help = "Tries to store a round that were not answered by its storage";
    to.counter("log_cluster_retries", help, [(none(), state.retries)])
}

/// Only of a node among others.
fn of_nodes(to: &mut Exposition<'_>, services: &Services) -> fmt::Result {
    if services.nodes.is_alone() {
        return Ok(());
    }
    let alive = services.nodes.peers().iter().filter(|peer| peer.is_alive).count();
    to.gauge(
        "cluster_peers_alive",
        "Other nodes that say in the database that they are there",
        [(none(), alive as i64)],
    )?;
    let followed = services.followers.progress();
    let followed: Vec<_> = followed.iter().map(|(node, progress)| (node.to_string(), progress)).collect();
    let of = |value: fn(&Progress) -> i64| {
        followed.iter().map(move |(node, progress)| (vec![("node", node.as_str())], value(progress)))
    };
    let is_current = |progress: &Progress| i64::from(progress.is_caught_up && progress.trouble.is_none());
    to.gauge("cluster_follower_current", "1 while the copies of a node's logs are up to date", of(is_current))?;
    let help = "The last message of a node's journal that is in the copies";
    to.gauge("cluster_follower_sequence", help, of(|progress| progress.applied as i64))?;
    let all = services.meters.iter().map(|(kind, of)| (vec![("kind", kind)], of.taken_over.get()));
    to.counter("work_taken_over", "Work of lost nodes that has become this one's", all)
}

fn of_work(to: &mut Exposition<'_>, services: &Services) -> fmt::Result {
    let all = || services.meters.iter().map(|(kind, meters)| (vec![("kind", kind)], meters));
    to.gauge("work_active", "Work in the registry", all().map(|(kind, of)| (kind, of.active.get())))?;
    to.counter(
        "work_restarts",
        "Sessions started again after a panic",
        all().map(|(kind, of)| (kind, of.restarts.get())),
    )?;
    let ended = services.meters.iter().flat_map(|(kind, meters)| {
        meters.ended().map(move |(status, count)| (vec![("kind", kind), ("status", status)], count))
    });
    to.counter("work_ended", "Work that has ended since the start, by its status", ended)?;
    let help = "From the creation of work until its end, waiting included";
    to.seconds("work_duration", help, all().map(|(kind, of)| (kind, of.duration.read())))?;
    let (capacity, children) = (&services.capacity, services.work.launcher.meters());
    let (used, slots) = capacity.slots();
    to.gauge("run_slots", "Runs that may run at once", [(none(), slots as i64)])?;
    to.gauge("run_slots_used", "Slots that are taken", [(none(), used as i64)])?;
    to.gauge(
        "run_queue_length",
        "Runs that are queued, for whatever they wait",
        [(none(), capacity.waiting() as i64)],
    )?;
    to.seconds("run_queue_wait", "From admission to a slot", [(none(), capacity.waited().read())])?;
    to.gauge("child_processes", "Children that are not yet reaped", [(none(), children.running.get())])?;
    to.counter("child_processes_started", "Children that were started", [(none(), children.started.get())])
}

fn of_calls(to: &mut Exposition<'_>, services: &Services) -> fmt::Result {
    let all: Vec<_> = services.models.meters.iter().map(|of| (of.provider.as_str(), of, of.totals())).collect();
    let calls = all.iter().flat_map(|(provider, _, totals)| {
        totals.calls.iter().map(|(outcome, count)| (vec![("provider", *provider), ("outcome", *outcome)], *count))
    });
    to.counter("llm_calls", "Calls of language models, by what came of them", calls)?;
    let tokens = all.iter().flat_map(|(provider, _, totals)| {
        let usage = totals.usage;
        let kinds = [("input", usage.input), ("output", usage.output), ("cache_read", usage.cache_read)];
        let kinds = kinds.into_iter().chain([("cache_write", usage.cache_write)]);
        kinds.map(|(kind, count)| (vec![("provider", *provider), ("kind", kind)], count))
    });
    to.counter("llm_tokens", "Tokens of calls; the kinds are disjoint", tokens)?;
    let costs =
        all.iter().map(|(provider, _, totals)| (vec![("provider", *provider)], totals.cost_micro_usd as f64 / 1e6));
    to.counter("llm_cost_usd", "US dollars of the calls whose price is known", costs)?;
    let times = all.iter().map(|(provider, of, _)| (vec![("provider", *provider)], of.latency.read()));
    to.seconds("llm_call_duration", "How long calls took", times)
}

fn of_requests(to: &mut Exposition<'_>, requests: &Arc<RequestMeters>, open: usize) -> fmt::Result {
    let all = requests.all();
    let statuses: Vec<_> = all
        .iter()
        .flat_map(|((method, route), of)| {
            of.statuses().into_iter().map(move |(status, count)| (*method, route, status.to_string(), count))
        })
        .collect();
    let counted = statuses.iter().map(|(method, route, status, count)| {
        (vec![("method", *method), ("route", route.as_str()), ("status", status.as_str())], *count)
    });
    to.counter("http_requests", "Requests, by the pattern of their route; none for those that no route took", counted)?;
    let times = all
        .iter()
        .map(|((method, route), of)| (vec![("method", *method), ("route", route.as_str())], of.latency.read()));
    to.seconds("http_request_duration", "Until the head of the answer was made", times)?;
    to.gauge("http_connections", "Connections that are open, those of streams among them", [(none(), open as i64)])
}
