//! The router over a real engine and a simulated ComfyUI server.

mod api;
mod archives;
mod catalogue_pages;
mod compare;
mod config;
mod document;
mod editing;
mod events;
mod first_picture;
mod forms;
mod hub;
mod job_pages;
mod jobs;
mod languages;
mod llm_settings;
mod markup;
mod metrics;
mod pages;
mod places;
mod pool_pages;
mod settings;
mod showcases;
mod statistics;
mod undoing;
mod upkeep_pages;
mod workflow_tests;
