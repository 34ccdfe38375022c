// SPDX-License-Identifier: MIT
//
// How numbers look, and which typed ones are taken.

#include "report/units.h"

#include <gtest/gtest.h>

namespace heapster::report {
namespace {

TEST(CountText, HasSeparators) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(count_text(-999), "-999");
  EXPECT_EQ(count_text(-1234), "-1,234");
  EXPECT_EQ(count_text(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(BytesText, HasThreeFigures) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.00 KiB");
  EXPECT_EQ(bytes_text(1024 * 1024 - 1), "1.00 MiB");
  EXPECT_EQ(bytes_text(150 * 1024), "150 KiB");
  EXPECT_EQ(bytes_text(-3 * 1024), "-3.00 KiB");
  EXPECT_EQ(bytes_text(INT64_MAX), "8.00 EiB");
}

TEST(SecondsText, FitsItsSize) {
  EXPECT_EQ(seconds_text(0), "0 s");
  EXPECT_EQ(seconds_text(0.0123), "12.3 ms");
  EXPECT_EQ(seconds_text(4.5), "4.50 s");
  EXPECT_EQ(seconds_text(150), "2 min 30 s");
  EXPECT_EQ(seconds_text(7260), "2 h 01 min");
  EXPECT_EQ(seconds_text(200000), "2 d 07 h");
  EXPECT_EQ(seconds_text(1e300), "ages");
}

TEST(ShareText, HasNoShareOfNothing) {
  EXPECT_EQ(share_text(1, 8), "12.5 %");
  EXPECT_EQ(share_text(1, 0), "–");
}

TEST(RateText, ShortensWhatIsFast) {
  EXPECT_EQ(rate_text(12, false), "12/s");
  EXPECT_EQ(rate_text(1'900'000, false), "1.90 M/s");
  EXPECT_EQ(rate_text(2048, true), "2.00 KiB/s");
  EXPECT_EQ(rate_text(1e300, true), "–");
}

TEST(ParseCount, TakesWholeNumbersInTheirUsualForms) {
  EXPECT_EQ(parse_count("1000000"), 1000000);
  EXPECT_EQ(parse_count("1e6"), 1000000);
  EXPECT_EQ(parse_count("1_000"), 1000);
  EXPECT_EQ(parse_count("0"), 0);
  for (const char* bad : {"", "x", "1x", "-1", "1.5", "1e300", "nan", "inf", "1K", "0x10", " 1"})
    EXPECT_FALSE(parse_count(bad)) << bad;
}

TEST(ParseSize, TakesPowersOf1024) {
  for (const char* same :
       {"64M", "64m", "64MB", "64mb", "64MiB", "64mib", "65536K", "0.0625G", "67_108_864", "67108864B"})
    EXPECT_EQ(parse_size(same), 64 << 20) << same;
  EXPECT_EQ(parse_size("1.5e6"), 1'500'000);
  EXPECT_EQ(parse_size("0"), 0);
  EXPECT_EQ(parse_size("7E"), std::nullopt);
  EXPECT_EQ(parse_size("8388607T"), int64_t{8388607} << 40);
  EXPECT_EQ(parse_size("8388608T"), std::nullopt);
  EXPECT_EQ(parse_size("64"), 64);
  EXPECT_EQ(parse_size("1K"), 1024);
  EXPECT_EQ(parse_size("1.5m"), 1536 * 1024);
  EXPECT_EQ(parse_size("2G"), int64_t{2} << 30);
  for (const char* bad : {"", "K", "1Q", "iB", "B", "1iB", "1iB2", "1.", ".5K", "1.K", "_1", "1_", "1e", "1.2345678M",
                          "1 K", "99999999999999999999", "-1K", "1e300G", "M1"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Printable, LeavesNothingThatSteersATerminal) {
  EXPECT_EQ(printable("plain ü €"), "plain ü €");
  EXPECT_EQ(printable("a\033[31mb\nc\x7f"), "a?[31mb?c?");
  EXPECT_EQ(printable("\xff\xc3"), "??");
  EXPECT_EQ(printable("\xc2\x9b"), "?");  // a control character of the second page
}

TEST(Printable, TakesNothingForUtf8ThatIsNot) {
  EXPECT_EQ(printable("\xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf"), "?? ??? ????") << "longer than need be";
  EXPECT_EQ(printable("\xed\xa0\x80 \xed\xbf\xbf"), "??? ???") << "surrogates";
  EXPECT_EQ(printable("\xf4\x90\x80\x80 \xf5\x80\x80\x80"), "???? ????") << "above the last character";
  EXPECT_EQ(printable("\xe2\x82"), "??") << "cut";
  const std::string last = "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
  EXPECT_EQ(printable(last), last);
}

TEST(Printable, LeavesTheDirectionOfWritingAlone) {
  EXPECT_EQ(printable("a\u202eb\u202cc\u2066d\u2069e\u200ef\u200fg\u061ch"), "a?b?c?d?e?f?g?h");
  EXPECT_EQ(printable("a\u2028b\u2029c\u0085d"), "a?b?c?d");
  EXPECT_EQ(printable("שלום\u200d"), "שלום\u200d") << "letters that are written to the left, and a joiner";
}

TEST(Width, CountsCharacters) { EXPECT_EQ(width("±€x"), 3u); }

}  // namespace
}  // namespace heapster::report
