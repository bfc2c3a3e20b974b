//! The router over a real engine and a simulated ComfyUI server.

mod api;
mod catalogue_pages;
mod config;
mod document;
mod editing;
mod events;
mod hub;
mod jobs;
mod pages;
mod settings;
