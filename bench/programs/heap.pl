# SPDX-License-Identifier: BSD-3-Clause
# heap.pl MIB: fills its memory with what Perl programs hold, made of the words of the files whose
# names come on standard input; says "ready" and stays until the input ends.
use strict;
use warnings;

my $target_pages = $ARGV[0] * 256;
my (@names, @kept);
while (my $line = <STDIN>) {
    chomp $line;
    last if $line eq '';
    push @names, $line;
}

sub resident_pages {
    open my $statm, '<', '/proc/self/statm' or die;
    return (split ' ', <$statm>)[1];
}

srand 1;
for (my $turn = 0; resident_pages() < $target_pages; $turn++) {
    open my $file, '<', $names[$turn % @names] or next;
    read $file, my $text, 1 << 18;
    my @words = split ' ', $text;
    next unless @words;
    my $kind = $turn % 4;
    if ($kind == 0) {
        my %count;
        $count{$_}++ for @words;
        push @kept, \%count;
    } elsif ($kind == 1) {
        my $last = $#words < 800 ? $#words : 800;
        push @kept, [map { { name => $_, length => length, score => rand } } @words[0 .. $last]];
    } elsif ($kind == 2) {
        push @kept, [split /\n/, $text];
    } else {
        push @kept, [$text, [map { int rand 1e9 } 1 .. 500], qr/\b\Q$words[0]\E\b/];
    }
    splice @kept, int rand @kept, 1 if $turn % 7 == 0 && @kept > 10;  # holes
}
$| = 1;
print "ready\n";
1 while <STDIN>;
