//! The router over a real engine and a simulated ComfyUI server.

mod api;
mod hub;
mod pages;
