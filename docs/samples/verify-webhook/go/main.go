// Verifies a webhook from Artisan and handles its event once.
//
//	ARTISAN_WEBHOOK_SECRET=whsec_… go run . WAY headers.txt body.json
//
// WAY is one of four; one is enough.
//
//	library   github.com/standard-webhooks/standard-webhooks/libraries/go
//	v1        the same with the standard library
//	v1a       with the endpoint's public key, ARTISAN_WEBHOOK_PUBLIC_KEY=whpk_…
//	artisan   X-Artisan-Signature; does not notice that a webhook is an old one sent again
//
// The files are a request as it came: its headers, one `name: value` a line, and its body, byte for byte.
// Needs Go 1.21 or newer.
package main

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const tolerance = 5 * time.Minute

// errRefused says that a webhook is not from Artisan, was changed on the way, or is old. Answer 400, and do nothing else.
var errRefused = errors.New("refused")

func verifyWithLibrary(secret string, headers http.Header, body []byte) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	if err := webhook.Verify(body, headers); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

// signedText is what Standard Webhooks signs, provided that it is recent.
func signedText(headers http.Header, body []byte) ([]byte, error) {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return nil, fmt.Errorf("%w: it has no webhook-id or webhook-timestamp", errRefused)
	}
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return nil, fmt.Errorf("%w: its timestamp is more than five minutes off", errRefused)
	}
	return append([]byte(id+"."+timestamp+"."), body...), nil
}

// signatures are those of one scheme. There may be several: while a secret is being changed, one by the new and one by the
// old.
func signatures(headers http.Header, scheme string) [][]byte {
	var found [][]byte
	for _, one := range strings.Split(headers.Get("webhook-signature"), " ") {
		name, text, _ := strings.Cut(one, ",")
		if signature, err := base64.StdEncoding.DecodeString(text); name == scheme && err == nil {
			found = append(found, signature)
		}
	}
	return found
}

func hmacSHA256(secret string, text []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil), nil
}

func verifyV1(secret string, headers http.Header, body []byte) error {
	text, err := signedText(headers, body)
	if err != nil {
		return err
	}
	expected, err := hmacSHA256(secret, text)
	if err != nil {
		return err
	}
	for _, signature := range signatures(headers, "v1") {
		if hmac.Equal(expected, signature) { // takes the same time whatever differs
			return nil
		}
	}
	return fmt.Errorf("%w: no signature fits", errRefused)
}

func verifyV1a(publicKey string, headers http.Header, body []byte) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(publicKey, "whpk_"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return errors.New("the public key is not one")
	}
	text, err := signedText(headers, body)
	if err != nil {
		return err
	}
	for _, signature := range signatures(headers, "v1a") {
		if ed25519.Verify(key, text, signature) {
			return nil
		}
	}
	return fmt.Errorf("%w: no signature fits", errRefused)
}

func verifyArtisan(secret string, headers http.Header, body []byte) error {
	mac, err := hmacSHA256(secret, body)
	if err != nil {
		return err
	}
	expected := "sha256=" + hex.EncodeToString(mac)
	if !hmac.Equal([]byte(expected), []byte(headers.Get("x-artisan-signature"))) {
		return fmt.Errorf("%w: the signature does not fit", errRefused)
	}
	return nil
}

type event struct {
	ID    string          `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// handled has the ids of what was handled. In earnest, a table with a unique column: a program that starts again must know
// them.
var handled sync.Map

// handleOnce is false if the event was handled before: a webhook may come more than once, with the same id each time.
//
// In a database, store the id in the same transaction as what the event leads to. So if that fails the id is not there
// either, and the next attempt does it. The id in the body is signed in all four ways, and the same as webhook-id.
func handleOnce(it event) bool {
	if _, before := handled.LoadOrStore(it.ID, true); before {
		return false
	}
	fmt.Println("handled", it.ID, it.Event) // what you do about the event
	return true
}

func readHeaders(file string) (http.Header, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	headers := http.Header{}
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			headers.Add(name, strings.TrimSpace(value))
		}
	}
	return headers, nil
}

func run(way, headersFile, bodyFile string) error {
	headers, err := readHeaders(headersFile)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(bodyFile)
	if err != nil {
		return err
	}

	secret, publicKey := os.Getenv("ARTISAN_WEBHOOK_SECRET"), os.Getenv("ARTISAN_WEBHOOK_PUBLIC_KEY")
	switch way {
	case "library":
		err = verifyWithLibrary(secret, headers, body)
	case "v1":
		err = verifyV1(secret, headers, body)
	case "v1a":
		err = verifyV1a(publicKey, headers, body)
	case "artisan":
		err = verifyArtisan(secret, headers, body)
	default:
		err = fmt.Errorf("there is no way %s", way)
	}
	if err != nil {
		return err
	}

	// Only now is it worth reading.
	var it event
	if err := json.Unmarshal(body, &it); err != nil {
		return err
	}
	handleOnce(it)
	// As if the same webhook came again. Answer 2xx to it too.
	if !handleOnce(it) {
		fmt.Printf("again %s: nothing to do\n", it.ID)
	}
	return nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verify-webhook WAY headers.txt body.json")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errRefused) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}
