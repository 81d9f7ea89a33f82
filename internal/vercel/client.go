package vercel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxBodyBytes is how much of an answer is read; Vercel's are under 1 KiB.
	maxBodyBytes = 64 << 10
	// maxDrainBytes is how much more is thrown away to keep the connection.
	// Beyond it a new dial is cheaper.
	maxDrainBytes = 64 << 10
)

// Client calls Vercel's API with one token and for one team. It is safe for
// concurrent use. Formatting one never shows the token.
type Client struct {
	base    string
	team    string // for String
	query   url.Values
	token   secret
	timeout time.Duration
	conns   *connections
}

// New returns a client, or all faults of the configuration at once. It makes
// no request.
func New(c Config) (*Client, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	query := url.Values{}
	if c.TeamID != "" {
		query.Set("teamId", c.TeamID)
	}
	if c.Slug != "" {
		query.Set("slug", c.Slug)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Client{
		base: c.base(), team: c.TeamID + c.Slug, query: query,
		token: newSecret(c.Token), timeout: timeout, conns: c.connections(),
	}, nil
}

// Purge makes one API call. It returns nil for a 2xx whose body is empty or a JSON
// object without an error: Vercel has accepted the purge, which never proves that
// an entry matched. Otherwise the error is one of
//   - *StatusError: Vercel answered, and Answer holds the status and limits;
//   - *TransportError: no answer, not all of it, or one that is not the API's, so
//     that the purge may or may not have taken effect; Answer.Status is 0, or the
//     2xx whose body broke off, is a page or holds an error;
//   - an error that matches tasks.ErrInvalid: the request cannot be written as
//     a call of its endpoint, and no call was made.
func (c *Client) Purge(ctx context.Context, r Request) (Answer, error) {
	body, err := r.encode()
	if err != nil {
		return Answer{}, err
	}
	return c.do(ctx, http.MethodPost, r.path(), c.purgeQuery(r.Project), body)
}

// Check asks who the token belongs to (GET /v2/user) and returns nil if it is
// accepted, by the same rule as Purge; a *StatusError with status 401 or 403 says that it
// is not, any other error that this could not be learned. It spends no rate budget of
// purges.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/v2/user", nil, nil)
	return err
}

// CheckTeam asks for the team of the client (GET /v2/teams/…) and returns nil if it has
// none or the token may see it; a *StatusError with status 403 or 404 says that the
// team is not one of the token's. It spends no rate budget of purges.
func (c *Client) CheckTeam(ctx context.Context) error {
	team := cmp.Or(c.query.Get("teamId"), c.query.Get("slug"))
	if team == "" {
		return nil
	}
	_, err := c.do(ctx, http.MethodGet, "/v2/teams/"+url.PathEscape(team), nil, nil)
	return err
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.conns.take().http.CloseIdleConnections() }

func (c *Client) purgeQuery(project string) url.Values {
	query := url.Values{"projectIdOrName": {project}}
	maps.Copy(query, c.query)
	return query
}

// do makes one request and reads its answer.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body []byte) (Answer, error) {
	t := c.conns.take()
	answer, err := c.exchange(ctx, t.http, method, path, query, body)
	e, ok := errors.AsType[*TransportError](err)
	c.conns.report(t, ok && e.Timeout())
	return answer, err
}

func (c *Client) exchange(ctx context.Context, over *http.Client, method, path string, query url.Values, body []byte) (Answer, error) {
	fail := func(a Answer, err error) (Answer, error) {
		return a, &TransportError{Method: method, Path: path, Err: c.token.seal(withoutURL(err))}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return fail(Answer{}, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token.reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "edgepurge")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := over.Do(req)
	if err != nil {
		return fail(Answer{}, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, broke := readBody(resp.Body)
	answer, failed := c.read(resp, text, time.Now())
	if failed != nil { // the status is known, so a body that broke off changes nothing
		return answer, failed
	}
	if err := c.accepted(resp, text, broke); err != nil {
		return fail(answer, err)
	}
	return answer, nil
}

// readBody reads the bounded start of a body and drains a bounded rest.
func readBody(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBodyBytes))
	if err == nil && len(text) == maxBodyBytes {
		_, err = io.CopyN(io.Discard, r, maxDrainBytes)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return text, err
}
