# syntax=docker/dockerfile:1
# Build: two stages, so that the image holds the binary and CA certificates only. The binary is linked statically, libc
# too, which glibc's own resolver allows; the base then needs nothing that a program could be started with.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc --print host-tuple)" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --profile dist --locked --target "$target" -p genimage --features otel \
    && cp "target/$target/dist/genimage" /genimage \
    && mkdir /data

# Run: no shell, no package manager, no libraries, an unprivileged user (by number, so that Kubernetes can prove it).
FROM gcr.io/distroless/static-debian12:nonroot
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
