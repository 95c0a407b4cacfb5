package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Endpoint says where a machine's SSH server is, and how it lets us in.
type Endpoint struct {
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional" provider:"secret"`
	Host               *string  `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional" provider:"secret"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional" provider:"secret"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
}

const (
	defaultUser       = "root"
	defaultPort       = 22
	defaultErrorLimit = 10
	defaultTimeout    = 15
	// loginTimeout is for what follows the TCP connection, which perDialTimeout is for; a server may be
	// slow to let somebody in, but one that says nothing must not hold Pulumi up for ever
	loginTimeout = 2 * time.Minute
	// unlimited as dialErrorLimit: dial until it works
	unlimited = -1
)

func (e *Endpoint) setDefaults(a infer.Annotator) {
	a.SetDefault(&e.User, defaultUser)
	a.SetDefault(&e.Port, defaultPort)
	a.SetDefault(&e.DialErrorLimit, defaultErrorLimit)
	a.SetDefault(&e.PerDialTimeout, defaultTimeout)
}

// ProxyConnection is the way to a machine that the other is reached from.
type ProxyConnection struct{ Endpoint }

// Annotate names the type, and sets its defaults.
func (c *ProxyConnection) Annotate(a infer.Annotator) {
	a.SetToken("remote", "ProxyConnection")
	c.setDefaults(a)
}

// Connection is the way to a machine.
type Connection struct {
	Endpoint
	Proxy *ProxyConnection `pulumi:"proxy,optional"`
}

// Annotate names the type, and sets its defaults.
func (c *Connection) Annotate(a infer.Annotator) {
	a.SetToken("remote", "Connection")
	c.setDefaults(a)
}

// or is for what a default stands in: a state can lack it.
func or[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

func (e *Endpoint) address() string {
	return net.JoinHostPort(or(e.Host, ""), strconv.Itoa(int(or(e.Port, defaultPort))))
}

// timeout is how long one attempt to connect may take; no limit at 0.
func (e *Endpoint) timeout() time.Duration {
	return time.Duration(or(e.PerDialTimeout, defaultTimeout)) * time.Second
}

// way is an open connection, with the one to the proxy if it goes by one.
type way struct{ client, proxy *ssh.Client }

// close is safe to call again. The proxy first: without it nothing is said through it any more, and
// a farewell that waits for a proxy which has died would not end.
func (w *way) close() {
	if w.proxy != nil {
		_ = w.proxy.Close()
	}
	_ = w.client.Close()
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects, directly or by the proxy; each endpoint has its own limit of errors.
func (c *Connection) dial(ctx context.Context) (*way, error) {
	if c.Proxy == nil {
		client, err := c.Endpoint.dial(ctx, "connection", new(net.Dialer).DialContext)
		return &way{client: client}, err
	}
	proxy, err := c.Proxy.dial(ctx, "proxy", new(net.Dialer).DialContext)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	client, err := c.Endpoint.dial(ctx, "connection by the proxy", proxy.DialContext)
	if err != nil {
		_ = proxy.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &way{client: client, proxy: proxy}, nil
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// dial tries until it is connected. dialErrorLimit counts the errors that are borne: it fails at the
// next one.
func (e *Endpoint) dial(ctx context.Context, what string, dial dialer) (*ssh.Client, error) {
	limit := or(e.DialErrorLimit, defaultErrorLimit)
	config, release, err := e.config()
	if err != nil {
		return nil, err
	}
	defer release()
	pause := firstPause
	for failed := 0; ; failed++ {
		client, err := e.attempt(ctx, dial, config)
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, stopped(ctx, err)
		}
		if limit > unlimited && failed >= limit {
			return nil, fmt.Errorf("after %d failed attempts: %w", failed, err)
		}
		p.GetLogger(ctx).InfoStatusf("%s to %s: attempt %d failed, trying again: %v", what, e.address(), failed+1, err)
		select {
		case <-ctx.Done():
			return nil, stopped(ctx, err)
		case <-time.After(pause):
		}
		pause = min(pause*3/2, longestPause)
	}
}

// attempt connects and logs in.
func (e *Endpoint) attempt(ctx context.Context, dial dialer, config *ssh.ClientConfig) (*ssh.Client, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if e.timeout() > 0 {
		limited, cancel = context.WithTimeout(ctx, e.timeout())
	}
	conn, err := dial(limited, "tcp", e.address())
	cancel()
	if err != nil {
		return nil, err
	}
	return e.logIn(ctx, conn, config)
}

// logIn gives up in time whatever the connection does: one through a proxy has no deadlines, and may
// not even close while the proxy says nothing.
func (e *Endpoint) logIn(ctx context.Context, conn net.Conn, config *ssh.ClientConfig) (*ssh.Client, error) {
	type outcome struct {
		client *ssh.Client
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		session, channels, requests, err := ssh.NewClientConn(conn, e.address(), config)
		if err != nil {
			done <- outcome{err: err}
			return
		}
		done <- outcome{client: ssh.NewClient(session, channels, requests)}
	}()
	give := func(err error) (*ssh.Client, error) {
		go func() { _ = conn.Close() }()
		return nil, err
	}
	select {
	case got := <-done:
		if got.err != nil {
			return give(got.err)
		}
		return got.client, nil
	case <-ctx.Done():
		return give(fmt.Errorf("%s took the connection, but has not logged us in", e.address()))
	case <-time.After(loginTimeout):
		return give(fmt.Errorf("%s took the connection, but did not log us in within %s", e.address(), loginTimeout))
	}
}

// config is what the SSH library needs. release ends the talk with the agent.
func (e *Endpoint) config() (config *ssh.ClientConfig, release func(), err error) {
	config = &ssh.ClientConfig{User: or(e.User, defaultUser)}
	if err := e.expectHostKey(config); err != nil {
		return nil, nil, err
	}
	if e.PrivateKey != nil {
		signer, err := e.signer()
		if err != nil {
			return nil, nil, fmt.Errorf("privateKey: %w", err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		config.Auth = append(config.Auth, ssh.Password(*e.Password), ssh.KeyboardInteractive(e.answer))
	}
	agentConn, err := e.agent()
	if err != nil || agentConn == nil {
		return config, func() {}, err
	}
	config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(agentConn).Signers))
	return config, func() { _ = agentConn.Close() }, nil
}

// expectHostKey has the server's key compared with the one given; without one any is taken.
func (e *Endpoint) expectHostKey(config *ssh.ClientConfig) error {
	if e.HostKey == nil {
		config.HostKeyCallback = ssh.InsecureIgnoreHostKey()
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
	if err != nil {
		return fmt.Errorf("failed to parse host key: %w: hostKey must be a type and a key, as in \"ssh-ed25519 AAAA…\"", err)
	}
	config.HostKeyCallback = ssh.FixedHostKey(key)
	config.HostKeyAlgorithms = []string{key.Type()}
	if key.Type() == ssh.KeyAlgoRSA {
		// The type of key says nothing of the signature, and servers of today refuse the one by SHA-1
		config.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return nil
}

func (e *Endpoint) signer() (ssh.Signer, error) {
	if e.PrivateKeyPassword != nil {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(*e.PrivateKey), []byte(*e.PrivateKeyPassword))
	}
	signer, err := ssh.ParsePrivateKey([]byte(*e.PrivateKey))
	if missing := new(ssh.PassphraseMissingError); errors.As(err, &missing) {
		return nil, fmt.Errorf("%w: set privateKeyPassword", err)
	}
	return signer, err
}

// answer gives the password to each question of a server that asks for it in a dialogue.
func (e *Endpoint) answer(_, _ string, questions []string, _ []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i := range answers {
		answers[i] = *e.Password
	}
	return answers, nil
}

// agent connects to the agent, if one is named here or by the user's environment.
func (e *Endpoint) agent() (net.Conn, error) {
	path := os.Getenv("SSH_AUTH_SOCK")
	if e.AgentSocketPath != nil {
		path = *e.AgentSocketPath
	} else if path == "" {
		return nil, nil
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, fmt.Errorf("SSH agent of agentSocketPath or SSH_AUTH_SOCK: %w", err)
	}
	return conn, nil
}
