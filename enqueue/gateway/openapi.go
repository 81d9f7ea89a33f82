package gateway

import (
	"context"
	_ "embed" // openapi.yaml
	"net/http"
)

// OpenAPIPath is where the description of both APIs is served, without a key.
const OpenAPIPath = "/openapi.yaml"

//go:embed openapi.yaml
var openAPI []byte

// describe serves the description.
func (h *Handler) describe(context.Context, *exchange) answer {
	return answer{status: http.StatusOK, outcome: Shown, body: openAPI, contentType: "application/yaml"}
}
