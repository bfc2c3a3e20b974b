//! The router over a real engine and a simulated ComfyUI server.

mod api;
mod catalogue_pages;
mod config;
mod document;
mod editing;
mod events;
mod first_picture;
mod hub;
mod job_pages;
mod jobs;
mod llm_settings;
mod metrics;
mod pages;
mod pool_pages;
mod settings;
mod statistics;
mod upkeep_pages;
