#!/usr/bin/perl

# A person opens the catalog's page in Chromium and works with it: gives a
# token, types a search, sets filters, walks with the keys, compares, starts a
# refresh and sees it end.  What would break: scripts, their idea of the API,
# what a catalog says taken for markup, a page wider than a phone.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Browser;

BEGIN {
    my $missing = Browser::missing();
    plan skip_all => $missing if $missing;
}

use Gateway;
use Host qw(alive top wait_until);

my $html = top() . '/html';

my $gw = Gateway->new(catalog => 'bundled',
    http => "    include /etc/nginx/mime.types;\n",
    more => "        location / { root $html; }\n");
$gw->start->wait_ready;

ok wait_until(sub {
    my $r = $gw->api(GET => '/api/v1/models?limit=1');
    ($r->{json}{pagination}{total} // 0) > 5000;
}, 60), 'the catalog is there';

is $gw->api(POST => '/api/v1/providers', {
    id => 'hostile', name => '<img src=x onerror=document.title="owned">',
    protocol => 'openai', base_url => 'http://127.0.0.1:9/v1',
})->{status}, 201, 'a provider with a hostile name';
is $gw->api(POST => '/api/v1/models', {
    id => 'hostile/x', name => '<script>document.title="owned"</script>',
    type => 'chat', family => '"><b>bold',
})->{status}, 201, 'and a model';
ok wait_until(sub {
    my $r = $gw->api(GET => '/api/v1/models?search=hostile/x');
    grep { $_->{id} eq 'hostile/x' } @{ $r->{json}{models} // [] };
}), 'which can be found';

my $page = Browser->new($gw->dir);

my $rows = sub {
    return $page->run('return document.querySelectorAll("#rows tr[data-id]")'
                   . '.length');
};
my $status = sub { return ($page->texts('#status'))[0] // ''; };
my $ids = sub {
    return @{ $page->run('return [...document.querySelectorAll("#rows tr")]'
                      . '.map((r) => r.dataset.id ?? "")') };
};
my $shows = sub {
    my ($selector) = @_;
    return $page->run('return document.querySelector(arguments[0]).open',
                   $selector);
};
my $search = sub {
    my ($text) = @_;

    $page->run('const s = document.getElementById("search");'
            . 's.value = ""; s.focus()');
    $page->type('#search', $text);
};


subtest 'a token is asked for' => sub {
    $page->visit($gw->url('/catalog.html'));
    ok wait_until(sub { $shows->('#token-dialog') }), 'in a dialog';
    like join('', $page->texts('#token-dialog .message')), qr/token/i,
         'that says why';

    $page->type('#token-dialog input', $gw->token('operator'));
    $page->press(Browser::ENTER);

    ok wait_until(sub { $rows->() == 50 }), 'then there are 50 models';
    like $status->(), qr/^5,\d\d\d models$/, 'of all there are';
    cmp_ok scalar($page->texts('select[name=provider] option')), '>', 100,
           'every provider can be chosen';
};


subtest 'search as you type' => sub {
    $search->('claude sonnet');
    ok wait_until(sub { $page->run('return location.search')
        =~ /search=claude\+sonnet/ }), 'the address says what was asked';
    ok wait_until(sub {
        my @ids = $ids->();
        $rows->() > 3 && !grep({ !/claude|sonnet/i } @ids[0 .. 3]);
    }), 'the best come first';

    $search->('hostile/x');
    ok wait_until(sub { ($ids->())[0] eq 'hostile/x' }), 'a hostile name';
    like join('', $page->texts('#rows .name')), qr/<script>/, 'is shown as text';
    is $page->run('return document.title'), 'Catalog - model gateway',
       'and does nothing';

    $search->('zzqqxxyyw');
    ok wait_until(sub { $status->() =~ /^(?:0 models|Nothing matches)/ }),
       'nothing found is said';
    $search->(' ');
};


subtest 'filters, order, pages' => sub {
    $page->run('const f = document.getElementById("filters");'
            . 'f.search.value = ""; f.provider.value = "openai";'
            . 'f.capability.value = "reasoning";'
            . 'f.sort.value = "-context";'
            . 'f.dispatchEvent(new Event("input"))');
    ok wait_until(sub {
        my @ids = $ids->();
        @ids && !grep({ !/^openai\// } @ids);
    }), 'one provider';
    my @context = map { tr/,?//dr } $page->texts('#rows td[data-label=Context]');
    is_deeply [ map { $_ + 0 } @context ],
              [ sort { $b <=> $a } map { $_ + 0 } @context ],
              'longest context first';

    $page->run('const f = document.getElementById("filters"); f.reset();'
            . 'f.dispatchEvent(new Event("input"))');
    ok wait_until(sub { $rows->() == 50 }), 'all again';
    my @first = $ids->();
    $page->click('#next');
    ok wait_until(sub { ($ids->())[0] ne $first[0] }), 'the next page';
    like $page->run('return location.search'), qr/page=2/, 'is in the address';

    $page->visit($gw->url('/catalog.html?provider=anthropic&sort=name'));
    ok wait_until(sub {
        my @ids = $ids->();
        @ids && !grep({ !/^anthropic\// } @ids);
    }), 'an address shows the same to somebody else';
};


subtest 'keys, details, comparison' => sub {
    ok wait_until(sub { $rows->() > 2 }), 'rows';
    $page->run('document.activeElement.blur()');
    $page->press('/');
    is $page->run('return document.activeElement.id'), 'search', '/ searches';
    $page->press(Browser::DOWN);
    is $page->run('return document.activeElement.dataset.id'), ($ids->())[0],
       'an arrow walks to the first row';
    $page->press(Browser::ENTER);
    ok wait_until(sub { $shows->('#detail') }), 'Enter opens it';
    like join("\n", $page->texts('#detail th')), qr/pricing\.input/,
         'with every member';
    $page->press(Browser::ESCAPE);
    ok wait_until(sub { !$shows->('#detail') }), 'Escape closes it';

    $page->press('c', Browser::DOWN, 'c');
    is +($page->texts('#compare'))[0], 'Compare 2', 'c chooses two';
    my @two = ($ids->())[0, 1];
    $page->click('#compare');
    ok wait_until(sub { $shows->('#table') }), 'they are compared';
    is_deeply [ ($page->texts('#table thead th'))[1, 2] ], \@two,
              'a column each';
    my $all = () = $page->texts('#table tbody tr');
    $page->click('#differences');
    my $some = () = $page->texts('#table tbody tr');
    cmp_ok $some, '<', $all, 'differences only are fewer rows';
    cmp_ok $some, '>', 0, 'but there are some';
    $page->press(Browser::ESCAPE);
};


subtest 'refresh' => sub {
    $page->click('#refresh');
    ok wait_until(sub {
        join('', $page->texts('#refresh-status')) =~ /unchanged/;
    }, 60), 'its end is seen' or diag $page->texts('#refresh-status');
    like join('', $page->texts('#refresh-status')), qr/0 changed/,
         'with what it did';
    ok !$page->run('return document.getElementById("refresh").disabled'),
       'and it can be done again';
};


subtest 'phone, dark and light' => sub {
    for my $width (360, 1280) {
        $page->size($width, 780);
        cmp_ok $page->run('return document.documentElement.scrollWidth'), '<=',
               $width, "nothing is wider than $width pixels";
    }

    my %page;
    my $colour = 'return getComputedStyle(document.body).backgroundColor';

    for my $scheme ('light', 'dark') {
        $page->colours($scheme);
        $page{$scheme} = $page->run($colour);
    }

    isnt $page{dark}, $page{light}, 'the colours follow the system';
    $page->click('#theme');
    is $page->run($colour), $page{light}, 'unless told otherwise';
    $page->screenshot($ENV{TEST_SCREENSHOT}) if $ENV{TEST_SCREENSHOT};

    # how well text can be read, by the formula of WCAG 2
    my $contrast = <<'JS';
const light = (name) => {
    const c = getComputedStyle(document.querySelector(name));
    const l = (t) => { const [r, g, b] = t.match(/\d+/g).map((v) => {
        v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const [a, z] = [l(c.color), l(getComputedStyle(document.body)
                                 .backgroundColor)];
    return (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
};
return Math.min(...["body", ".soft", "a"].map(light));
JS
    for (1, 2) {
        cmp_ok $page->run($contrast), '>=', 4.5, 'text can be read';
        $page->click('#theme');
    }
};

is_deeply [ grep { !/401|403/ } $page->complaints ], [],
          'the page complained of nothing';

undef $page;

done_testing;
