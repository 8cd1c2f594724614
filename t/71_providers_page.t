#!/usr/bin/perl

# A person opens the page of the providers in Chromium: validates one, sees its
# bar, its counts and the model that is asked right now, cancels, retries what
# failed, looks at the history and at the results of a run; by WebSocket, by
# server-sent events, and by polling where neither gets through.  What would
# break: scripts, their idea of the API, a run that somebody else has begun and
# that nobody sees, names taken for markup, a page wider than a phone.

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
use Host qw(slurp spew top wait_until);
use Time::HiRes qw(sleep time);
use Upstream;

my $html = top() . '/html';

my $gw = Gateway->new(
    http => "    include /etc/nginx/mime.types;\n"
          . "    model_validate_concurrency 3;\n",
    more => "        location / { root $html; }\n"
          . "        location /ws/ { model_api; }\n");
$gw->start->wait_ready;

my $dir = $gw->dir;
my %good = (id => 'x', object => 'chat.completion', model => 'm', choices => [
    { index => 0, finish_reason => 'stop',
      message => { role => 'assistant', content => 'a' } } ]);


# a server of models; how long each takes at most, and whether they fail, are
# files: 0 lets those go that wait

sub server {
    my ($name, @models) = @_;

    spew("$dir/$name.delay", 0);
    spew("$dir/$name.bad", '');

    return Upstream->new(sub {
        my ($req) = @_;

        return { json => { object => 'list', data => [
            map { { id => $_, object => 'model' } } @models ] } }
            if $req->{uri} =~ m{/models$};

        my ($model) = $req->{body} =~ /"model":\s*"([^"]+)"/;
        my $bad = slurp("$dir/$name.bad");

        return { status => 404, json => { error => {
            message => 'the model is not <b>here</b>' } } }
            if $bad ne '' && $model =~ /$bad/;

        my $until = time + (slurp("$dir/$name.delay") || 0);
        sleep 0.05 while time < $until && slurp("$dir/$name.delay");

        return { json => \%good };
    });
}

my %up = (
    acme => server('acme', map { "m$_" } 1 .. 12),
    zeta => server('zeta', map { "z$_" } 1 .. 3),
);

for my $id (sort keys %up) {
    is $gw->api(POST => '/api/v1/providers', {
        id => $id, name => $id eq 'zeta' ? '<i>Zeta</i>' : 'Acme models',
        protocol => 'openai', base_url => $up{$id}->url . '/v1',
        api_key => 'sk-test-1234567890',
    })->{status}, 201, "the provider $id";
}

my $page = Browser->new($gw->dir);

my $text = sub { return join ' ', $page->texts($_[0]); };
my $card = sub {
    my ($id, $part) = @_;
    return $text->("li[data-id=$id] " . ($part // ''));
};
my $count = sub { return $card->($_[0], ".counts .$_[1] b") =~ tr/,//dr; };
my $press = sub {
    my ($id, $label) = @_;

    $page->run('[...document.querySelectorAll(arguments[0])]'
        . '.find((b) => b.textContent === arguments[1]).click()',
        "li[data-id=$id] button", $label);
};
my $enabled = sub {
    my ($id, $label) = @_;

    return $page->run('return ![...document.querySelectorAll(arguments[0])]'
        . '.find((b) => b.textContent === arguments[1]).disabled',
        "li[data-id=$id] button", $label);
};
my $open = sub {
    $page->visit($gw->url('/providers.html' . ($_[0] // '')));
};
my $latest = sub {
    return $gw->api(GET => "/api/v1/providers/$_[0]/validation-status")
              ->{json} // {};
};
my $over = sub {
    my ($id, $status) = @_;
    return wait_until(sub { $card->($id, '.now') =~ /^$status/ }, 60);
};


subtest 'a token is asked for, then there are the providers' => sub {
    $open->();
    ok wait_until(sub {
        $page->run('return document.getElementById("token-dialog").open');
    }), 'in a dialog';
    $page->type('#token-dialog input', $gw->token('operator'));
    $page->press(Browser::ENTER);

    ok wait_until(sub { $text->('#status') eq '2 providers' }), 'two';
    like $card->('zeta', 'h2'), qr/^<i>Zeta<\/i>/, 'a name is text';
    is $card->('acme', '.now'), 'never validated', 'new ones';
    ok $enabled->('acme', 'Validate'), 'that can be validated';
    ok !$enabled->('acme', 'Cancel'), 'there is nothing to cancel';
    ok !$enabled->('acme', 'Retry failed'), 'nor to retry';
    is $text->('#history-status'), '0 validations', 'no history';
};


for my $way ([ 'WebSocket' ], [ 'events', 'sockets' ],
             [ 'polling', 'sockets', 'streams' ])
{
    my ($name, @off) = @$way;

    subtest "live by $name" => sub {
        $page->without(@off);
        spew("$dir/acme.delay", 0.8);
        spew("$dir/acme.bad", '^m[12]$');
        $open->();
        ok wait_until(sub { $text->('#status') eq '2 providers' }), 'a page';
        $press->('acme', 'Validate');

        my (%seen, @at, $live);

        wait_until(sub {
            my $s = $page->run(<<'JS');
const card = document.querySelector("li[data-id=acme]");
return { now: card.querySelector(".now").textContent,
    way: card.querySelector(".bar small").textContent,
    running: card.classList.contains("running"),
    at: Number(card.querySelector(".meter").getAttribute("aria-valuenow")) };
JS
            $live = $s->{way} if $s->{way};
            $seen{model}++ if $s->{now} =~ m{acme/m\d+};
            $seen{of}++ if $s->{now} =~ /^\d+ of 12/;
            push @at, $s->{at} if $s->{running};

            # before it began the card tells of the run before
            return @at && $s->{now} =~ /^(?:completed|failed|cancelled)/;
        }, 60);

        like $card->('acme', '.now'), qr/^completed .*, took \d+ s$/,
             'its end is seen';
        is $live, "live by $name", 'by the way that was left';
        ok $seen{model}, 'which model is asked';
        ok $seen{of}, 'how many of them are done';
        my %steps = map { $_ => 1 } @at;
        cmp_ok scalar keys %steps, '>=', 3, 'step by step';
        ok !(grep { $at[$_] < $at[$_ - 1] } 1 .. $#at), 'and never back';
        ok wait_until(sub {
            my $part = $page->run('const m = document.querySelector('
                . '"li[data-id=acme] .meter"); return m.firstChild'
                . '.getBoundingClientRect().width / m.clientWidth');
            return abs($part - 10 / 12) < 0.02;
        }), 'ten twelfths of the bar';

        is $count->('acme', 'available'), 10, 'ten are available';
        is $count->('acme', 'unavailable'), 2, 'two are not';
        like $text->('#status'), qr/completed, 10 of 12 available, 2 unav/,
             'which is said aloud';
        ok $enabled->('acme', 'Retry failed'), 'they can be retried';
    };
}


subtest 'what failed is retried' => sub {
    $page->without();
    spew("$dir/acme.bad", '');
    spew("$dir/acme.delay", 0);
    ok wait_until(sub { $enabled->('acme', 'Retry failed') }), 'there are two';
    $press->('acme', 'Retry failed');
    ok wait_until(sub { $latest->('acme')->{total} == 2 }), 'only those';
    ok wait_until(sub {
        $count->('acme', 'available') == 12
            && $count->('acme', 'unavailable') == 0;
    }), 'then all are available, as the catalog has them'
        or diag $card->('acme');
    ok !$enabled->('acme', 'Retry failed'), 'and nothing is left to retry';
};


subtest 'cancelled' => sub {
    spew("$dir/acme.delay", 60);
    $press->('acme', 'Validate');
    ok wait_until(sub { $card->('acme', '.now') =~ m{acme/m} }), 'it runs';
    ok !$enabled->('acme', 'Validate'), 'once';
    $press->('acme', 'Cancel');
    ok $over->('acme', 'cancelled'), 'it is cancelled';
    is $latest->('acme')->{status}, 'cancelled', 'for the gateway too';
    spew("$dir/acme.delay", 0);
};


subtest 'a run that another has begun' => sub {
    spew("$dir/zeta.delay", 60);
    is $gw->api(POST => '/api/v1/providers/zeta/validate-models')->{status},
       202, 'begun elsewhere';
    ok wait_until(sub { $card->('zeta', '.now') =~ m{0 of 3} }),
       'is seen without being asked for';

    $page->run('const f = document.getElementById("filters");'
        . 'f.show.value = "running"; f.dispatchEvent(new Event("input"))');
    is_deeply $page->run('return [...document.querySelectorAll('
        . '"#list li")].map((l) => l.dataset.id)'), [ 'zeta' ],
        'the only one that runs';
    $page->run('const f = document.getElementById("filters");'
        . 'f.reset(); f.dispatchEvent(new Event("input"))');

    # a page that is opened while it runs has it too
    $open->();
    ok wait_until(sub { $card->('zeta') =~ /of 3/ }), 'from the beginning';
    is $page->run('return document.querySelector("#list li").dataset.id'),
       'zeta', 'in front';
    spew("$dir/zeta.delay", 0);
    ok $over->('zeta', 'completed'), 'until its end';
};


subtest 'nginx is reloaded in the middle' => sub {
    spew("$dir/acme.delay", 60);
    $press->('acme', 'Validate');
    ok wait_until(sub { $card->('acme', '.now') =~ m{acme/m} }), 'a run';
    $gw->reload;
    spew("$dir/acme.delay", 0);
    ok $over->('acme', 'completed'), 'its end is seen all the same';
    is $count->('acme', 'available'), 12, 'with all its counts';
};


subtest 'all at once' => sub {
    spew("$dir/$_.delay", 60) for keys %up;
    $page->click('#all');
    ok wait_until(sub {
        $text->('#status') eq '2 validations begun'
    }), 'both' or diag $text->('#status');
    ok wait_until(sub {
        $card->('acme', '.now') =~ / of 12/ && $card->('zeta', '.now') =~ / of 3/
    }), 'are followed';
    $page->click('#all');
    ok wait_until(sub { $text->('#status') =~ /^0 validations begun, 2 not/ }),
       'once' or diag $text->('#status');
    spew("$dir/$_.delay", 0) for keys %up;
    ok $over->($_, 'completed'), "$_ ends" for sort keys %up;

    # a page that is opened before the catalog knows has the counts, too
    $open->();
    ok wait_until(sub { $count->('acme', 'available') eq '12' }), 'all there'
        or diag $card->('acme');
    like $card->('zeta', '.now'), qr/^completed/, 'with the last run of each';
};


subtest 'history and results' => sub {
    my $rows = sub {
        return scalar @{ $page->run('return [...document.querySelectorAll('
            . '"#runs tr")].map((r) => r.dataset.id)') };
    };
    my $filter = sub {
        my ($name, $value) = @_;

        $page->run('const f = document.getElementById("history-filters");'
            . 'f[arguments[0]].value = arguments[1];'
            . 'f.dispatchEvent(new Event("change"))', $name, $value);
    };

    ok wait_until(sub { $rows->() == 9 }), 'nine runs';
    $press->('acme', 'History');
    ok wait_until(sub { $rows->() == 7 }), 'seven of one provider';
    like $page->run('return location.search'), qr/provider=acme/,
         'the address says so';
    is $page->run('return document.activeElement.id'), 'history-title',
       'the focus goes there';
    $filter->(status => 'cancelled');
    ok wait_until(sub { $rows->() == 1 }), 'one was cancelled';
    like $text->('#runs td'), qr/cancelled/, 'that one';
    $filter->(status => 'completed');
    ok wait_until(sub { $rows->() == 6 }), 'six were completed';

    # the oldest of them has two that were not available
    $page->run('document.querySelector("#runs tr:last-child button").click()');
    ok wait_until(sub { $page->run('return run.open') }), 'its results';
    ok wait_until(sub { $text->('#run-line') eq 'completed, 12 results' }),
       'all';
    like $text->('#results tr:first-child'),
         qr{acme/m\d+.*unavailable.*404.*not found: .*<b>here</b>}s,
         'what failed comes first, with the reason, as text';
    $page->run('const s = document.getElementById("run-result");'
        . 's.value = "unavailable"; s.dispatchEvent(new Event("change"))');
    ok wait_until(sub { $text->('#run-line') eq 'completed, 2 results' }),
       'only what failed';
    $page->press(Browser::ESCAPE);
    ok wait_until(sub { !$page->run('return run.open') }), 'Escape closes';
};


subtest 'keys' => sub {
    $page->run('document.activeElement.blur()');
    $page->press('/');
    is $page->run('return document.activeElement.id'), 'search', '/ searches';
    $page->type('#search', 'acme');
    ok wait_until(sub { 1 == @{ $page->run('return [...document'
        . '.querySelectorAll("#list li")].map(() => 1)') } }), 'one is left';
    $page->press(Browser::DOWN);
    is $page->run('return document.activeElement.dataset.id'), 'acme',
       'an arrow walks to it';
    spew("$dir/acme.delay", 60);
    my $before = $latest->('acme')->{id};
    $page->press('v');
    ok wait_until(sub { $latest->('acme')->{id} ne $before }), 'v validates';
    ok wait_until(sub { $enabled->('acme', 'Cancel') }), 'then it runs';
    $page->press('x');
    ok $over->('acme', 'cancelled'), 'x cancels';
    is $page->run('return document.activeElement.dataset.id'), 'acme',
       'the focus has stayed';
    spew("$dir/acme.delay", 0);
};


subtest 'many at once, slow answers, odd addresses' => sub {
    $open->('?length=1&item=2&show=keyed');
    ok wait_until(sub { $text->('#status') eq '2 providers' }),
       'an address with names of no field';

    # with the keys alone
    spew("$dir/acme.delay", 60);
    $page->run('[...document.querySelectorAll("li[data-id=acme] button")]'
        . '.find((b) => b.textContent === "Validate").focus()');
    $page->press(Browser::ENTER);
    ok wait_until(sub { $card->('acme', '.now') =~ m{acme/m} }), 'it runs';
    is $page->run('return document.activeElement.closest("li")?.dataset.id'),
       'acme', 'who has pressed the button stays there';
    spew("$dir/acme.delay", 0);
    ok $over->('acme', 'completed'), 'until its end';

    is_deeply $page->run(<<'JS'), [ 1, 'given', 'given' ], 'one dialog for two';
const g = await import("/gateway.js");
const both = [g.askToken("one"), g.askToken("two")];
const dialog = document.getElementById("token-dialog");
dialog.querySelector("input").value = g.token();
const n = document.querySelectorAll("dialog[open]").length;
dialog.querySelector("button.main").click();
return [n, ...(await Promise.all(both)).map((b) => b ? "given" : "not")];
JS

    is $page->run(<<'JS'), 1, 'a slow answer is not asked for again';
const real = window.fetch;
let n = 0;
window.fetch = (url, init) => String(url).includes("status=in_progress")
    ? (n++, new Promise((ok) => setTimeout(() => ok(real(url, init)), 5000)))
    : real(url, init);
for (let i = 0; i < 10; i++) {
    document.dispatchEvent(new Event("visibilitychange"));
    await new Promise((ok) => setTimeout(ok, 200));
}
window.fetch = real;
return n;
JS

    is $page->run(<<'JS'), 0, 'a late answer is not taken for the newest';
const real = window.fetch;
const form = document.getElementById("history-filters");
window.fetch = (url, init) => String(url).includes("status=completed")
    ? new Promise((ok) => setTimeout(() => ok(real(url, init)), 1500))
    : real(url, init);
for (const status of ["completed", "pending"]) {
    form.status.value = status;
    form.dispatchEvent(new Event("change"));
}
await new Promise((ok) => setTimeout(ok, 3000));
window.fetch = real;
return document.querySelectorAll("#runs tr").length;
JS
};


subtest 'a run that is removed' => sub {
    spew("$dir/$_.delay", 60) for keys %up;
    $press->($_, 'Validate') for sort keys %up;
    ok wait_until(sub { $card->($_, '.now') =~ m{$_/} }), "$_ runs"
        for sort keys %up;
    $gw->sql('delete from model.ai_model_validation_progress'
             . " where provider_id = 'acme'");
    $gw->sql('delete from model.jobs'
             . " where key like '%acme%' and state = 'in_progress'");
    ok wait_until(sub { $card->('acme', '.now') =~ /its row is gone/ }, 60),
       'its card says so' or diag $card->('acme', '.now');
    $press->('zeta', 'Cancel');
    ok $over->('zeta', 'cancelled'), 'and the others go on';
    spew("$dir/$_.delay", 0) for keys %up;
};


subtest 'phone, dark and light, little motion' => sub {
    for my $width (360, 1280) {
        $page->size($width, 780);
        cmp_ok $page->run('return document.documentElement.scrollWidth'), '<=',
               $width, "nothing is wider than $width pixels";
    }

    my %page;

    for my $scheme ('light', 'dark') {
        $page->colours($scheme);
        $page{$scheme} = $page->run('return getComputedStyle(document.body)'
                                 . '.backgroundColor');
    }

    isnt $page{dark}, $page{light}, 'the colours follow the system';

    my $moves = 'const bar = document.querySelector(".meter span");'
        . 'return getComputedStyle(bar).transitionDuration !== "0s"';
    ok $page->run($moves), 'bars glide';
    $page->prefers('reduced-motion', 'reduce');
    ok !$page->run($moves), 'but not for those who asked for little motion';
};

is_deeply [ grep { !/401|403|404|409|WebSocket connection/ } $page->complaints ],
          [], 'the page complained of nothing';

undef $page;

done_testing;
