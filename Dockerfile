# syntax=docker/dockerfile:1
# docker build -t promrelay .
# docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges -p 9201:9201 \
#     -v ./promrelay.yml:/etc/promrelay/promrelay.yml:ro -v relay:/data promrelay

# What the image is made on; another one has to have glibc, libgcc and CA certificates.
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
# The cache mounts keep the registry and the compiled dependencies between builds. Each platform is
# compiled as itself, and the second at work waits: both would write to the same directory.
# On arm64 a kernel's pages may have 64 KiB, and jemalloc has to be told when it is compiled.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,sharing=locked \
    if [ "$(uname -m)" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi \
    && cargo build --locked --release --bin promrelay \
    && install -D target/release/promrelay /image/promrelay \
    && install -d /image/data

# glibc, libgcc and the CA certificates, and nothing else: no shell, no package manager. Static
# musl would be smaller still, but its allocator and resolver are not what promrelay is tested on.
FROM ${BASE}
COPY --from=build /image/promrelay /usr/local/bin/promrelay
# The directory of the queues belongs to the user that writes them (65532 is nonroot).
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
VOLUME /data
EXPOSE 9201
# By the storage directory it finds the relay, and gets in whatever a web configuration asks for.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/usr/local/bin/promrelay", "healthcheck", "--storage.path=/data"]
ENTRYPOINT ["/usr/local/bin/promrelay"]
CMD ["run", "--config.file=/etc/promrelay/promrelay.yml", "--storage.path=/data"]
