// Asks a running service with a Go client that openapi-generator has made of the service's own document.
//
//	main ADDRESS
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	hello "generated.test/hello"
)

func check(ok bool, seen ...any) {
	if !ok {
		panic(fmt.Sprintln(seen...))
	}
}

// problemOf is the problem that a call was refused with.
func problemOf(err error) hello.Problem {
	var refused *hello.GenericOpenAPIError
	check(errors.As(err, &refused), "not refused:", err)
	var problem hello.Problem
	if err := json.Unmarshal(refused.Body(), &problem); err != nil {
		panic(err)
	}
	return problem
}

func main() {
	configuration := hello.NewConfiguration()
	configuration.Servers = hello.ServerConfigurations{{URL: "http://" + os.Args[1]}}
	client, ctx := hello.NewAPIClient(configuration), context.Background()
	a, b := "goA", "goB"
	for _, name := range []string{a, b} {
		body := *hello.NewDateOfBirthBody("1990-05-01")
		answer, err := client.HelloAPI.PutDateOfBirth(ctx, name).DateOfBirthBody(body).Execute()
		check(err == nil && answer.StatusCode == http.StatusNoContent, answer, err)
	}
	greeting, answer, err := client.HelloAPI.Greet(ctx, a).Execute()
	check(err == nil && greeting.GetMessage() != "", greeting, err)
	tag := answer.Header.Get("ETag")

	page, _, err := client.UsersAPI.ListUsers(ctx).Limit(1).Prefix("go").Execute()
	check(err == nil && len(page.GetUsers()) == 1 && page.GetUsers()[0].GetUsername() == a, page, err)
	page, _, err = client.UsersAPI.ListUsers(ctx).Cursor(page.GetNextCursor()).Prefix("go").Execute()
	check(err == nil && len(page.GetUsers()) == 1 && page.GetUsers()[0].GetUsername() == b, page, err)

	_, answer, err = client.FriendsAPI.PutFriendship(ctx, a, b).Execute()
	check(err == nil && answer.StatusCode == http.StatusCreated, answer, err)
	status, _, err := client.FriendsAPI.GetFriendship(ctx, a, b).Execute()
	check(err == nil && status.GetState() == hello.PENDING, status, err)
	_, err = client.FriendsAPI.DeleteFriendship(ctx, a, b).Execute()
	check(err == nil, err)

	// What is wrong, and where.
	_, _, err = client.UsersAPI.ListUsers(ctx).Limit(0).Execute()
	problem := problemOf(err)
	check(problem.GetErrors()[0].GetParameter() == "limit", problem)
	early := *hello.NewDateOfBirthBody("1800-01-01")
	_, err = client.HelloAPI.PutDateOfBirth(ctx, a).DateOfBirthBody(early).Execute()
	problem = problemOf(err)
	check(problem.GetErrors()[0].GetPointer() == "#/dateOfBirth", problem)

	answer, err = client.HelloAPI.Forget(ctx, a).IfMatch(`"other"`).Execute()
	check(err != nil && answer.StatusCode == http.StatusPreconditionFailed, answer, err)
	_, err = client.HelloAPI.Forget(ctx, a).IfMatch(tag).Execute()
	check(err == nil, err)
	_, err = client.HelloAPI.Forget(ctx, b).Execute()
	check(err == nil, err)
	_, answer, err = client.HelloAPI.Greet(ctx, a).Execute()
	check(err != nil && answer.StatusCode == http.StatusNotFound, answer, err)
}
