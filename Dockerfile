# The version is go.mod's toolchain; the digest says which image exactly.
FROM golang:1.26.8@sha256:6c2a5538f964f1c82f97ad14988bf05de100d922d159d0e398b54c7b0ca0c6c9 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /edgepurge ./cmd/edgepurge

# Nothing but the program and the roots of trust for api.vercel.com: no shell to
# break into, no package to keep patched.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /edgepurge /edgepurge
# A number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/edgepurge"]
CMD ["worker"]
