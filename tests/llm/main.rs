//! Providers against a server on a real socket that speaks their wire formats.

mod anthropic;
mod faults;
mod openai;
mod parameters;
mod replies;
mod support;
mod tls;
mod worker_loop;
