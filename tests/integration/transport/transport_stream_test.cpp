// Streams of the cpprestsdk transport: how they flow, and every way they end.
#include "transport_fixture.h"

#include <thread>

namespace poolwarden::test {
namespace {

using ::testing::HasSubstr;

TEST(TransportStream, EveryChunkComesAtOnceInAnySplit) {
  std::promise<void> second;
  auto second_allowed = second.get_future();
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    connection.chunk("{\"a\":1}\n{\"b\"");
    second_allowed.wait_for(kLong);  // nothing more comes until the first was seen
    connection.send("3\r\n:2");
    connection.pause(20ms);
    connection.send("}");
    connection.pause(20ms);
    connection.send("\r");
    connection.pause(20ms);
    connection.send("\n");
    connection.chunk(std::string(200'000, 'x'));
    connection.end_chunks();
  });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  const auto handle = transport->stream(get_request("/watch"), 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_data("{\"a\":1}\n{\"b\""));
  EXPECT_EQ(recorder->head().status, 200);
  EXPECT_EQ(recorder->head().content_type, "application/json");
  second.set_value();
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_FALSE(recorder->error());
  EXPECT_EQ(recorder->data(), "{\"a\":1}\n{\"b\":2}" + std::string(200'000, 'x'));
}

TEST(TransportStream, AnEmptyStreamIsACleanEnd) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    connection.end_chunks();
  });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  const auto handle = transport->stream(get_request(), 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_TRUE(recorder->has_head());
  EXPECT_FALSE(recorder->error());
  EXPECT_EQ(recorder->data(), "");
}

TEST(TransportStream, SilenceEndsItAndDataKeepsItAlive) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    for (int i = 0; i < 6; ++i) {
      connection.chunk("x");
      connection.pause(500ms);
    }
    connection.pause(30s);
  });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  const auto begin = std::chrono::steady_clock::now();
  // Less than the six together, and much more than one on a busy machine.
  const auto handle = transport->stream(get_request(), 2s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(recorder->data(), "xxxxxx");
  ASSERT_TRUE(recorder->error());
  EXPECT_EQ(recorder->error()->kind, TransportFailure::kTimeout);
  EXPECT_THAT(recorder->error()->message, HasSubstr("nothing received"));
  EXPECT_GE(took, 4400ms);  // five gaps of 500 ms and the idle limit
  EXPECT_LT(took, 15s);
}

TEST(TransportStream, NoHeadWithinTheDeadlineEndsIt) {
  HttpsServer server(localhost_server(),
                     [&](ServerConnection& connection, const ServerRequest&) { connection.pause(30s); });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  HttpRequest request = get_request();
  request.deadline = 200ms;
  const auto handle = transport->stream(request, 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_FALSE(recorder->has_head());
  ASSERT_TRUE(recorder->error());
  EXPECT_EQ(recorder->error()->kind, TransportFailure::kTimeout);
}

TEST(TransportStream, TheHeadsDeadlineIsNotTheStreams) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    connection.pause(3s);
    connection.chunk("late");
    connection.end_chunks();
  });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  HttpRequest request = get_request();
  request.deadline = 2s;
  const auto handle = transport->stream(request, 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_FALSE(recorder->error());
  EXPECT_EQ(recorder->data(), "late");
}

TEST(TransportStream, ACutInTheMiddleIsAnError) {
  for (const bool inside_chunk : {false, true}) {
    HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
      connection.begin_chunked();
      connection.chunk("one");
      if (inside_chunk) {
        connection.send("a\r\nhalf");
      }
      connection.pause(50ms);
      connection.close();
    });
    const auto transport = transport_to(access_to(server.port()));
    const auto recorder = std::make_shared<Recorder>();
    const auto handle = transport->stream(get_request(), 10s, recorder);
    ASSERT_TRUE(recorder->wait_for_end());
    EXPECT_EQ(recorder->data(), "one");
    ASSERT_TRUE(recorder->error());
    EXPECT_EQ(recorder->error()->kind, TransportFailure::kCut);
  }
}

TEST(TransportStream, ARefusalArrivesWholeInTheHead) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    if (request.target == "/long") {
      connection.reply(500, std::string(1'000'000, 'x'));
    } else {
      connection.reply(410, R"({"kind":"Status","reason":"Expired"})", "Retry-After: 3\r\n");
    }
  });
  const auto transport = transport_to(access_to(server.port()));
  {
    const auto recorder = std::make_shared<Recorder>();
    const auto handle = transport->stream(get_request("/watch"), 10s, recorder);
    ASSERT_TRUE(recorder->wait_for_end());
    EXPECT_FALSE(recorder->error());
    EXPECT_EQ(recorder->head().status, 410);
    EXPECT_EQ(recorder->head().body, R"({"kind":"Status","reason":"Expired"})");
    EXPECT_EQ(recorder->head().retry_after, 3s);
    EXPECT_EQ(recorder->data(), "");
  }
  const auto recorder = std::make_shared<Recorder>();
  const auto handle = transport->stream(get_request("/long"), 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_EQ(recorder->head().status, 500);
  EXPECT_EQ(recorder->head().body.size(), 64U << 10);
}

TEST(TransportStream, DroppedHandle_EndsOnceAndClosesConnection) {
  std::promise<bool> gone;
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    connection.chunk("x");
    gone.set_value(connection.client_gone(kLong));
    connection.close();
  });
  const auto transport = transport_to(access_to(server.port()));
  const auto recorder = std::make_shared<Recorder>();
  auto handle = transport->stream(get_request(), 60s, recorder);
  ASSERT_TRUE(recorder->wait_for_data("x"));
  handle.reset();
  ASSERT_TRUE(recorder->wait_for_end());
  ASSERT_TRUE(recorder->error());
  EXPECT_EQ(recorder->error()->kind, TransportFailure::kCancelled);
  auto future = gone.get_future();
  ASSERT_EQ(future.wait_for(kLong), std::future_status::ready);
  EXPECT_TRUE(future.get());
}

// Once in a thousand times this ended the process, while cpprestsdk had two threads: one closed the socket
// that the other was about to read from.
TEST(TransportStream, MayBeDroppedWhileItFloods) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.begin_chunked();
    const std::string data(30'000, 'x');
    while (connection.chunk(data)) {
    }
    connection.close();
  });
  const auto transport = transport_to(access_to(server.port()));
  for (int i = 0; i < 100; ++i) {
    const auto recorder = std::make_shared<Recorder>();
    auto handle = transport->stream(get_request(), 60s, recorder);
    if (i % 3 != 0) {
      ASSERT_TRUE(recorder->wait_for_head());
      std::this_thread::sleep_for(std::chrono::microseconds(500 * (i % 7)));
    }
    handle.reset();
    ASSERT_TRUE(recorder->wait_for_end());
    ASSERT_TRUE(recorder->error());
    EXPECT_EQ(recorder->error()->kind, TransportFailure::kCancelled);
  }
}

TEST(TransportStream, DestroyingTheTransportEndsEveryStream) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    if (request.target == "/mute") {
      connection.pause(30s);
      return;
    }
    connection.begin_chunked();
    connection.chunk("x");
    connection.pause(30s);
  });
  auto transport = transport_to(access_to(server.port()));
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<kube::StreamHandle>> handles;
  for (int i = 0; i < 12; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    handles.push_back(transport->stream(get_request(i % 2 == 0 ? "/mute" : "/watch"), 60s, recorders.back()));
  }
  ASSERT_TRUE(recorders[1]->wait_for_data("x"));
  transport.reset();
  for (const auto& recorder : recorders) {
    EXPECT_TRUE(recorder->ended());
    ASSERT_TRUE(recorder->error());
    EXPECT_EQ(recorder->error()->kind, TransportFailure::kCancelled);
  }
  handles.clear();  // after the transport: harmless
}

TEST(TransportStream, StreamsDoNotStandInTheWayOfCalls) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    if (request.target == "/watch") {
      connection.begin_chunked();
      while (connection.chunk(std::string(1000, 'x')) && connection.pause(10ms)) {
      }
      connection.close();
      return;
    }
    connection.reply(200, "{}");
  });
  kube::TransportOptions options;
  options.max_connections = 1;
  const auto transport = transport_to(access_to(server.port()), options);
  std::vector<std::unique_ptr<kube::StreamHandle>> handles;
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 10; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    HttpRequest request = get_request("/watch");
    request.deadline = kLong;
    handles.push_back(transport->stream(request, 60s, recorders.back()));
  }
  for (const auto& recorder : recorders) {
    ASSERT_TRUE(recorder->wait_for_head()) << (recorder->error() ? recorder->error()->message : "");
  }
  for (int i = 0; i < 50; ++i) {
    const Answer answer = ask(*transport, patch_request("{}", false));
    ASSERT_TRUE(answer) << failure_text(answer);
  }
}

}  // namespace
}  // namespace poolwarden::test
