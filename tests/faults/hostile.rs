//! Engines, configurations and packages that mean harm: whatever they do, each of their runs and builds ends with one
//! terminal event, leaves no process, changes no file of others, and the service answers all the while, in bounded memory.
//!
//! `ADE_HOSTILE_ONLY=<part of a name>` tries some of them; `ADE_HOSTILE_FULL=1` makes their numbers as large as in life.

mod behaviour;
mod builds;
mod check;
mod configuration;
mod disk;
mod events;
mod files;
mod harness;
mod lines;
mod neighbours;
mod own_directory;
mod processes;
mod results;
mod survivors;
mod told;
mod trees;
mod victims;
mod watcher;
