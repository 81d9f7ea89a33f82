package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/tasks"
)

func ExampleClient_Purge() {
	server, err := miniredis.Run() // yours is the workers' Redis
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := enqueue.New(enqueue.Config{Redis: "redis://" + server.Addr() + "/0", Source: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	receipt, err := client.Purge(ctx, tasks.Purge{
		Project:   "prj_abc",
		Operation: tasks.Invalidate,
		Tags:      []string{"post-1", "post-list", "post-1"},
		Settle:    2 * time.Second, // the origin serves old content for so long
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("tasks:", receipt.Tasks, "items:", receipt.Items)

	_, err = client.Purge(ctx, tasks.Purge{Project: "prj_abc", Operation: "purge", Tags: []string{"a,b"}})
	fmt.Println(err)

	// Output:
	// tasks: 1 items: 2
	// purge request: operation: "purge" is unknown: use "delete" or "invalidate"
	// tags[0]: holds a comma, which Vercel reads as a separator: "a,b"
}

func ExampleClient_Status() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := enqueue.New(enqueue.Config{Redis: "redis://" + server.Addr() + "/0"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	receipt, err := client.Purge(ctx, tasks.Purge{
		Project: "prj_abc", Operation: tasks.Delete, Tags: []string{"post-1", "post-2"}, Track: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	status, err := client.Status(ctx, receipt.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d pending, done: %t\n", status.Pending, status.Total, status.Done())
	_, err = client.Status(ctx, "another")
	fmt.Println(errors.Is(err, enqueue.ErrUnknownReceipt))

	// Output:
	// 2 of 2 pending, done: false
	// true
}

// Example is what the README shows; it needs a Redis, and so is compiled and not run.
func Example() {
	ctx := context.Background()

	client, err := enqueue.New(enqueue.Config{Redis: "redis://localhost:6379/0"})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := client.Purge(ctx, tasks.Purge{
		Project: "prj_abc", Operation: tasks.Delete, Tags: []string{"post-1", "post-list"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.ID)
}
