# syntax=docker/dockerfile:1
# Build: two stages, so that the image holds the binary and CA certificates only.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p genimage \
    && cp target/release/genimage /genimage \
    && mkdir /data

# Run: no shell, no package manager, an unprivileged user (by number, so that Kubernetes can prove it).
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /genimage /usr/local/bin/genimage
COPY --from=build --chown=65532:65532 /data /data
ENV GENIMAGE_DATA_DIR=/data \
    GENIMAGE_LISTEN=0.0.0.0:8001
VOLUME ["/data"]
EXPOSE 8001
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/genimage", "health"]
ENTRYPOINT ["/usr/local/bin/genimage"]
CMD ["serve"]
