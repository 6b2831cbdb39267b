//! What must hold when things go wrong: the real program, real processes, real disks.

mod archive;
mod backup;
mod burden;
mod cancel;
mod cluster;
mod crash;
mod cut;
mod degraded;
mod endings;
mod execution_crowd;
mod executions;
mod folds;
mod hostile;
mod leftovers;
mod metrics;
mod orphans;
mod owner;
mod late_ends;
mod isolation;
mod panic;
mod planted;
mod queue;
mod replace;
mod shutdown;
mod support;
mod tls;
