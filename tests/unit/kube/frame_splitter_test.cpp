#include "kube/frame_splitter.h"

#include "support/protobuf/envelope.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using protobuf_wire::framed;
using testing::ElementsAre;

std::vector<std::string> frames_of(FrameSplitter& splitter, const std::vector<std::string_view>& chunks) {
  std::vector<std::string> out;
  for (const std::string_view chunk : chunks) {
    if (!splitter.feed(chunk, [&](std::string_view frame) { out.emplace_back(frame); })) break;
  }
  return out;
}

TEST(FrameSplitter, EverySplitGivesTheSameFrames) {
  const std::string stream = framed("one") + framed("") + framed(std::string(300, 'x')) + framed("four");
  const auto expected = ElementsAre("one", "", std::string(300, 'x'), "four");
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    FrameSplitter splitter;
    const std::string_view all = stream;
    ASSERT_THAT(frames_of(splitter, {all.substr(0, first), all.substr(first)}), expected) << first;
    ASSERT_EQ(splitter.pending(), 0U);
  }
  FrameSplitter splitter;
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < stream.size(); ++i) bytes.push_back(std::string_view(stream).substr(i, 1));
  EXPECT_THAT(frames_of(splitter, bytes), expected);
}

TEST(FrameSplitter, DoesNotCopyAFrameThatLiesInOneChunk) {
  const std::string stream = framed("whole") + framed("also");
  FrameSplitter splitter;
  EXPECT_TRUE(splitter.feed(stream, [&](std::string_view frame) {
    EXPECT_GE(frame.data(), stream.data());
    EXPECT_LE(frame.data() + frame.size(), stream.data() + stream.size());
  }));
}

TEST(FrameSplitter, AFrameThatWasCutIsNotHandedOut) {
  FrameSplitter splitter;
  const std::string stream = framed("whole") + framed("cut");
  EXPECT_THAT(frames_of(splitter, {std::string_view(stream).substr(0, stream.size() - 1)}),
              ElementsAre("whole"));
  EXPECT_EQ(splitter.pending(), 6U);
}

TEST(FrameSplitter, AFrameOfTheLimitPasses) {
  FrameSplitter splitter(4);
  EXPECT_THAT(frames_of(splitter, {framed("four")}), ElementsAre("four"));
}

TEST(FrameSplitter, ALongerFrameFailsForGoodAndHoldsNothing) {
  const std::string stream = framed("ok") + framed("12345");
  for (const std::size_t chunk : {stream.size(), std::size_t{3}, std::size_t{1}}) {
    FrameSplitter splitter(4);
    std::vector<std::string_view> chunks;
    for (std::size_t at = 0; at < stream.size(); at += chunk)
      chunks.push_back(std::string_view(stream).substr(at, chunk));
    EXPECT_THAT(frames_of(splitter, chunks), ElementsAre("ok"));
    EXPECT_TRUE(splitter.failed());
    EXPECT_EQ(splitter.pending(), 0U);
    EXPECT_THAT(frames_of(splitter, {framed("ok")}), ElementsAre());
  }
}

TEST(FrameSplitter, ALengthThatIsALieTakesNoRoom) {
  FrameSplitter splitter;
  EXPECT_TRUE(frames_of(splitter, {std::string_view("\x00\xff\xff\xff"
                                                    "abc",
                                                    7)})
                  .empty());
  EXPECT_FALSE(splitter.failed()) << "just below 16 MiB";
  EXPECT_EQ(splitter.pending(), 7U);
  FrameSplitter other;
  EXPECT_TRUE(frames_of(other, {std::string_view("\xff\xff\xff\xff", 4)}).empty());
  EXPECT_TRUE(other.failed());
}

}  // namespace
}  // namespace poolwarden::kube
