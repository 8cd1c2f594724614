#!/usr/bin/perl

# The catalog's source into the database.  If this breaks, models are missing
# or come twice, a price that nobody stated is 0, a second load of the same
# document is news to every node, what was set by hand is overwritten, or a
# source that is broken, huge or away empties the catalog.

use v5.28;
use warnings;

use Compress::Zlib qw(memGzip);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(slurp spew top wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;
my $text = slurp(top() . '/conf/models.dev/api.json');
my $doc = $json->decode($text);

# an object of JSON as text, so that a document is changed without being read
# and written, which would change its numbers
my $object = qr/(?<o>\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|(?&o))*+\})/;

my $gw = Gateway->new(catalog => 'bundled', workers => 2);
$gw->start->wait_ready;
my $source = $gw->{catalog};
my %auth = (Authorization => 'Bearer ' . $gw->token('viewer'));


sub get { return $gw->get($_[0], \%auth); }

sub generations {
    return join ',', map { $_->[0] } $gw->sql(
        'select generation from model.catalog_generation order by name');
}


# runs a sync; its job and the newest row of the history

sub refresh {
    my ($seconds, $query) = @_;

    my $r = $gw->api(POST => '/api/v1/models/refresh' . ($query // ''));
    is $r->{status}, 202, 'a refresh begins' or diag $r->{body};
    my $id = $r->{json}{id};

    my $job;
    wait_until(sub {
        $job = $gw->api(GET => "/api/v1/jobs/$id")->{json};
        ($job->{status} // '') !~ /^(?:pending|in_progress)?$/;
    }, $seconds);

    my $history = $gw->api(GET => '/api/v1/models/refresh/status?limit=100')
                     ->{json}{history};
    return ($job, $history->[0], scalar @$history);
}


sub counts_are {
    my ($h, $name, %want) = @_;

    is_deeply { map { $_ => $h->{$_} } sort keys %want }, \%want, $name;
}


subtest 'the bundled document, at start' => sub {
    my $models = 0;
    $models += keys %{ $_->{models} } for values %$doc;

    my $h = $gw->api(GET => '/api/v1/models/refresh/status')
               ->{json}{history};
    is scalar @$h, 1, 'one sync';
    is $h->[0]{status}, 'completed', 'which completed' or diag $h->[0]{error};
    counts_are($h->[0], 'and counted', added => $models, changed => 0,
               removed => 0, unchanged => 0, failed => 0, models => $models,
               providers => scalar keys %$doc, bytes => length $text);
    is $models, 5269, 'models of the document';
    is scalar keys %$doc, 145, 'providers';
    diag "the first sync took $h->[0]{duration_ms} ms";

    is get('/api/v1/models?limit=1')->{json}{pagination}{total}, $models,
       'all are served';
    is get('/api/v1/providers?limit=1')->{json}{pagination}{total}, 145,
       'so are the providers';
};


sub fields_of {
    my ($provider, $model, $m) = @_;

    my $id = "$provider/$model";
    my $got = get("/api/v1/models/$id")->{json};
    is $got->{id} // '', $id, "$id as it is" or return;

    my $encoded = $id =~ s{([^A-Za-z0-9._-])}{sprintf '%%%02X', ord $1}ger;
    is get("/api/v1/models/$encoded")->{json}{id}, $id, 'and encoded';

    my $cost = $m->{cost};
    my %names = map { $_ => $_ } qw(input output cache_read cache_write);

    for my $name (sort keys %names) {
        my $value = $got->{pricing}{$name};

        if (!defined $cost || !defined $cost->{$name}) {
            is $value, undef, "$name: what nobody states is null";
            next;
        }

        ok defined $value, "$name is a number, 0 included";
        cmp_ok abs(($value // -1) - $cost->{$name}), '<', 1e-9, $name;
    }

    is $got->{$_}, $m->{$_}, "$_ as it was written" for qw(release_date
                                                          last_updated);
    is $got->{knowledge}, $m->{knowledge}, 'knowledge, too';
    is $got->{limits}{context}, $m->{limit}{context}, 'context';
}


subtest 'what is peculiar about it' => sub {
    my %want = (
        'no cost' => sub { !exists $_[1]{cost} },
        'cost 0' => sub { ($_[1]{cost}{input} // 1) == 0 },
        'short knowledge' => sub { length($_[1]{knowledge} // '') == 7 },
        'interleaved, a bool' => sub {
            JSON::PP::is_bool($_[1]{interleaved}) },
        'interleaved, an object' => sub {
            ref($_[1]{interleaved}) eq 'HASH' },
        'context 0' => sub { $_[1]{limit}{context} == 0 },
        'slash' => sub { $_[0] =~ m{/} },
        'colon' => sub { $_[0] =~ /:/ },
        'at' => sub { $_[0] =~ /\@/ },
        'tilde' => sub { $_[0] =~ /~/ },
        'upper case' => sub { $_[0] =~ /[A-Z]/ },
        'a name that is not ASCII' => sub { $_[1]{name} =~ /[^\x00-\x7f]/ },
    );

    for my $what (sort keys %want) {
        my $n = 0;

        PROVIDER: for my $provider (sort keys %$doc) {
            my $models = $doc->{$provider}{models};

            for my $id (sort keys %$models) {
                next if !$want{$what}->($id, $models->{$id});
                subtest "$what: $provider/$id" => sub {
                    fields_of($provider, $id, $models->{$id});

                    my $extra = $gw->sql_value(
                        "select details->'interleaved'
                         from model.models_metadata where id = :'id'",
                        id => "$provider/$id") // 'null';
                    is $json->allow_nonref->encode(
                           $json->allow_nonref->decode($extra)),
                       $json->allow_nonref->encode(
                           $models->{$id}{interleaved}),
                       'interleaved is kept as it came';
                };
                last PROVIDER if ++$n == 2;
            }
        }

        ok $n, "$what occurs";
    }

    # one id under many providers

    my $shared = 'openai/gpt-oss-120b';
    my @of = grep { $doc->{$_}{models}{$shared} } sort keys %$doc;
    cmp_ok scalar @of, '>', 20, "$shared has many providers";
    is scalar(grep { (get("/api/v1/models/$_/$shared")->{json}{provider_id}
                      // '') ne $_ } @of), 0, 'each serves its own';
};


subtest 'once more the same' => sub {
    my $before = generations();
    my $etag = get('/api/v1/models')->{headers}{etag};

    my ($job, $h, $n) = refresh();
    is $job->{status}, 'completed', 'completed' or diag $job->{error};
    counts_are($h, 'nothing is new', added => 0, changed => 0, removed => 0,
               unchanged => 5269, failed => 0);
    is $n, 2, 'it is in the history';
    is generations(), $before, 'no generation was raised';
    is get('/api/v1/models')->{headers}{etag}, $etag, 'the validator holds';
};


# what the sync must never touch: each value, as the API shows it

my %by_hand;

sub make_by_hand {
    is $gw->api(POST => '/api/v1/providers', { id => 'own-lab',
        name => 'Own', protocol => 'openai',
        base_url => 'http://127.0.0.1:1/v1', api_key => 'sk-own-1234' })
       ->{status}, 201, 'a provider by hand';
    is $gw->api(POST => '/api/v1/models', { id => 'own-lab/TheDrummer 2/A-70B',
        name => 'Own A', type => 'chat' })->{status}, 201,
       'its model, with a blank in the id';
    is $gw->api(POST => '/api/v1/models', { id => 'openai/ours',
        name => 'Ours', type => 'chat' })->{status}, 201,
       'a model by hand under a provider of the document';
    my $r = $gw->api(PATCH => '/api/v1/models/openai/gpt-4o',
                     { name => 'By hand' });
    is $r->{status}, 200, 'a name by hand' or diag $r->{body};
}

sub by_hand_holds {
    my ($when) = @_;

    my %now = map { $_ => join '|', map { $_ // '' } @{ ($gw->sql(
        "select name, active, source, model_type from model.models_metadata
         where id = :'id'", id => $_))[0] } }
        'own-lab/TheDrummer 2/A-70B', 'openai/ours', 'openai/gpt-4o';
    $now{provider} = join '|', map { $_ // '' } @{ ($gw->sql(
        "select p.name, p.active, p.source, p.base_url, c.key_hint
         from model.providers p left join model.provider_credentials c
         on c.provider_id = p.id where p.id = 'own-lab'"))[0] };

    %by_hand = %now if !%by_hand;
    is_deeply \%now, \%by_hand, "$when: what was set by hand is as it was";
}


subtest 'a document that changed' => sub {
    make_by_hand();
    by_hand_holds('before');

    my $changed = $text;
    my ($gone) = grep { keys %{ $doc->{$_}{models} } == 3 } sort keys %$doc;

    # one model each of three providers goes, and one provider as a whole

    for my $p (qw(routing-run iflowcn cohere)) {
        $changed =~ s/("\Q$p\E":\{"id":.*?"models":\{)"[^"]+":$object,/$1/s
            or die "no model of $p\n";
    }

    $changed =~ s/"\Q$gone\E":$object,?//s or die "no provider $gone\n";

    # two change, one of them only its price; a third one's order alone

    $changed =~ s/("frogbot":\{"id":.*?"models":\{"[^"]+":\{.*?"name":)"[^"]*"/$1"Renamed"/s
        or die "no name\n";
    $changed =~ s/("openrouter":\{"id":.*?"cost":\{"input":)[0-9.]+/${1}123.5/s
        or die "no price\n";
    $changed =~ s/("moark":\{"id":.*?"models":\{"[^"]+":\{)("id":"[^"]*"),("name":"[^"]*")/$1$3,$2/s
        or die "no members to change places\n";

    # three are new, one under a provider that is new; one provider and one
    # model look like those made by hand

    my $new = '"name":"New","attachment":false,"reasoning":false,'
              . '"tool_call":false,"release_date":"2026-06",'
              . '"last_updated":"2026-06-01","open_weights":false,'
              . '"modalities":{"input":["text"],"output":["text"]},'
              . '"limit":{"context":0,"output":1},"unheard_of":{"a":[1]}';
    $changed =~ s/("ambient":\{"id":.*?"models":\{)/$1"New\/m:v1\@x~Y 2":{$new},"plain":{$new},/s
        or die "no place for new ones\n";
    my $head = '"env":[],"npm":"x","doc":"x"';
    my $more = qq(,"newcomer":{"id":"newcomer","name":"Newcomer",$head,)
               . qq("models":{"first":{$new}}},)
               . qq("own-lab":{"id":"own-lab","name":"Theirs",$head,)
               . qq("api":"http://evil/v1",)
               . qq("models":{"TheDrummer 2/A-70B":{$new}}}});
    $changed =~ s/\}\s*\z/$more/
        or die "no end\n";
    $changed =~ s/("openai":\{"id":.*?"models":\{)/$1"ours":{$new},/s
        or die "no openai\n";
    $json->decode($changed);

    spew($source, $changed);
    my $before = generations();

    # of three providers a part goes that is believed, one goes as a whole;
    # the two made by hand have something new to be filled with

    my ($job, $h) = refresh();
    is $job->{status}, 'completed', 'completed' or diag $job->{error};
    counts_are($h, 'exact counts', added => 3, changed => 2 + 2, removed => 3,
               held => 3, failed => 0, unchanged => 5269 - 6 - 2);
    is get("/api/v1/models?provider=$gone")->{json}{pagination}{total} // 0,
       3, 'a provider that went as a whole is not believed to be gone';

    ($job, $h) = refresh(undef, '?force=true');
    counts_are($h, 'forced, it is', added => 0, changed => 0, removed => 3,
               held => 0, failed => 0);
    isnt generations(), $before, 'generations were raised';
    by_hand_holds('after it');

    ok wait_until(sub {
        get('/api/v1/models/ambient/New/m:v1@x~Y%202')->{status} == 200;
    }), 'a new one is served';
    is get('/api/v1/models/newcomer/first')->{status}, 200,
       'so is one of a new provider';
    is $gw->sql_value("select count(*) from model.models_metadata
        where not active and deleted_at is null"), 6,
       'those that went are inactive';
    is $gw->sql_value("select count(*) from model.models_metadata
        where not active and provider_id = '$gone'"), 3,
       'the whole provider among them';
    ok wait_until(sub {
        (get("/api/v1/models?provider=$gone")->{json}{pagination}{total} // 0)
            == 0;
    }), 'and soon not listed';
    is_deeply $gw->sql_value("select details->'unheard_of'
        from model.models_metadata where id = 'newcomer/first'"),
       '{"a": [1]}', 'a member that nobody knows is kept';

    spew($source, $text);
    ($job, $h) = refresh(undef, '?force=true');
    counts_are($h, 'and back', added => 0, changed => 2 + 6, removed => 3,
               failed => 0);
    is $gw->sql_value("select count(*) from model.models_metadata
        where not active and deleted_at is null"), 3,
       'those that came back are active';
    by_hand_holds('after the way back');
};


# the catalog as a whole, to see that nothing touched it

sub fingerprint {
    return $gw->sql_value(
        'select md5(string_agg(m::text, chr(10) order by id))
         from model.models_metadata m')
        . generations();
}


sub fails {
    my ($what, $words, $seconds) = @_;

    subtest $what => sub {
        my $before = fingerprint();
        my ($job, $h, $n) = refresh($seconds);
        is $job->{status}, 'failed', 'the job fails';
        like $job->{error}, $words, 'and says why';
        is $h->{status}, 'failed', 'the history has it';
        like $h->{error}, $words, 'with the reason';
        is fingerprint(), $before, 'the catalog is untouched';
        is get('/api/v1/models?limit=1')->{status}, 200, 'and served';
    };
}


subtest 'sources that are broken' => sub {
    my $half = substr $text, 0, 1_500_000;
    my $deep = '{"a":{"id":"a","name":"A","models":{"m":{"name":"M","x":'
               . '[' x 10_000 . ']' x 10_000 . '}}}}';

    my @files = (
        [ 'cut in the middle', $half, qr/complete|end|truncated/i ],
        [ 'empty', '', qr/complete|end|empty/i ],
        [ 'a web page', "<!DOCTYPE html>\n<html><body>Sign in</body></html>",
          qr/JSON/i ],
        [ 'no JSON', '{"a":{"id":"a",,}}', qr/JSON|byte|invalid/i ],
        [ 'something behind the end', '{} x', qr/./ ],
        [ 'deeply nested', $deep, qr/deep|depth|nest/i ],
        [ 'an array', '[{"id":"a"}]', qr/object keyed by provider/ ],
        [ 'a number', '7', qr/object keyed by provider/ ],
        [ 'no provider at all', '{}', qr/no model/ ],
        [ 'of no provider', '{"a":7,"b":[],"c":{"models":[]}}',
          qr/no model/ ],
        [ 'no UTF-8', "{\"a\":{\"name\":\"\xff\xfe\"}}", qr/UTF-8|JSON/i ],
    );

    for my $file (@files) {
        my ($what, $bytes, $words) = @$file;
        spew($source, $bytes);
        fails($what, $words);
    }

    # larger than the cap; it takes no room on the disk

    open my $fh, '>', $source or die "$source: $!\n";
    truncate $fh, 65 * 1024 * 1024;
    close $fh;
    fails('65 MiB', qr/64 MiB/);

    unlink $source;
    fails('no file', qr/cannot be opened.*model_catalog_source/);

    mkdir $source;
    fails('a folder', qr/not a file|cannot be opened/);
    rmdir $source;
    spew($source, $text);
};


subtest 'entries of wrong types' => sub {
    my $good = join ',', map { qq("m$_":{"name":"M$_","cost":{"input":$_}}) }
                         1 .. 100;
    spew($source, <<"END");
{"wrong": {"id": 7, "name": "Wrong", "env": "x", "npm": [], "doc": null,
  "models": {$good,
    "cost-text": {"name": "A", "cost": "free"},
    "cost-list": {"name": "B", "cost": {"input": [1], "output": -3}},
    "limit-text": {"name": "C", "limit": {"context": "many", "output": 1.5}},
    "flags": {"name": "D", "reasoning": "yes", "tool_call": 1},
    "dates": {"name": "E", "release_date": 2024, "knowledge": {}},
    "modes": {"name": "F", "modalities": {"input": "text", "output": [7]}},
    "huge": {"name": "G", "limit": {"context": 99999999999999999999}},
    "no-name": {"family": "x"},
    "null": null,
    "list": [],
    "name": {"name": 7},
    "empty": {}, "text": "x", "true": true
  }}}
END

    my $before = $gw->sql_value("select count(*) from model.models_metadata
                                 where active");
    my ($job, $h) = refresh();
    is $job->{status}, 'completed', 'completed' or diag $job->{error};
    counts_are($h, 'what cannot be read is counted', added => 107,
               failed => 7, removed => 0);
    is scalar @{ $job->{result}{reasons} }, 7, 'with reasons';
    like "@{ $job->{result}{reasons} }", qr{wrong/no-name.*no name},
         'that name the entry';
    is $gw->sql_value("select count(*) from model.models_metadata
        where active"), $before + 107,
       'too much is unreadable to believe that the rest is gone';

    ok wait_until(sub {
        get('/api/v1/models/wrong/cost-list')->{status} == 200;
    }), 'they are served';
    is get('/api/v1/models/wrong/cost-text')->{json}{pricing}{input}, undef,
       'a price that is none is null';
    is get('/api/v1/models/wrong/limit-text')->{json}{limits}{context}, undef,
       'so is a limit';
    is get('/api/v1/models/wrong/flags')->{json}{capabilities}{reasoning},
       undef, 'and a capability';

    ok $job->{result}{removals_held}, 'as the job says';

    spew($source, $text);
    ($job, $h) = refresh(undef, '?force=true');
    counts_are($h, 'back to the bundled one', removed => 107, failed => 0);
};


subtest 'a list that is suddenly short' => sub {
    my $count = "select count(*) from model.models_metadata
                 where active and source = 'models.dev'";

    spew($source, '{"short":{"id":"short","name":"Short","models":{'
                  . '"one":{"name":"One"}}}}');

    for my $time (1, 2) {
        my ($job, $h) = refresh();
        is $job->{status}, 'completed', "it is read, $time";
        ok $job->{result}{removals_held}, 'but not believed';
        counts_are($h, 'nothing is removed', added => $time == 1 ? 1 : 0,
                   removed => 0, held => 5269);
        is $gw->sql_value($count), 5270, 'the rest stays';
    }

    ok $gw->log =~ /5269 models are missing/, 'the log says why';

    my ($job, $h) = refresh(undef, '?force=true');
    ok !$job->{result}{removals_held}, 'forced: it is meant';
    counts_are($h, 'they are removed', added => 0, removed => 5269);
    is $gw->sql_value($count), 1, 'one is left';

    spew($source, $text);
    ($job, $h) = refresh(undef, '?force=true');
    counts_are($h, 'and back', added => 0, changed => 5269, removed => 1);
    by_hand_holds('after all that');
};


subtest 'a URL' => sub {
    my $dir = $gw->dir . '/url';
    mkdir $dir;
    chmod 0777, $dir;

    my $good = '{"url-lab":{"id":"url-lab","name":"URL","env":[],"npm":"x",'
               . '"doc":"x","models":{'
               . join(',', map { qq("m$_":{"name":"M$_"}) } 1 .. 200) . '}}}';
    my @json = ('Content-Type', 'application/json; charset=utf-8');

    # the file "mode" says what comes next
    my $up = Upstream->new(sub {
        my $mode = slurp("$dir/mode");

        return { headers => \@json, body => $good } if $mode eq 'good';
        return { headers => \@json, chunks => [ $good =~ /(.{1,700})/gs ] }
            if $mode eq 'chunks';
        return { status => 404, json => { error => 'gone' } }
            if $mode eq 'missing';
        return { status => 302, headers => [ Location =>
                 'http://127.0.0.1:1/secret' ] } if $mode eq 'redirect';
        return { headers => [ 'Content-Type', 'text/html' ],
                 body => '<html></html>' } if $mode eq 'html';
        return { headers => [ 'Content-Type', 'image/svg+xml' ],
                 body => $good } if $mode eq 'picture';
        return { headers => \@json, body => $good, cut => 3000 }
            if $mode eq 'cut';
        return { headers => [ @json, 'Content-Encoding', 'gzip' ],
                 body => memGzip(' ' x (65 * 1024 * 1024)) }
            if $mode eq 'bomb';

        # 500 the first time
        return mkdir("$dir/failed") ? { status => 500, body => 'oops' }
                                    : { headers => \@json, body => $good }
            if $mode eq 'flaky';

        return { status => 500, body => 'oops' };
    });

    my $mode = sub { spew("$dir/mode", $_[0]) };

    $gw->reload(catalog => $up->url . '/api.json', wait_old => 1);

    for my $way (qw(good chunks)) {
        $mode->($way);
        my ($job, $h) = refresh();
        is $job->{status}, 'completed', $way or diag $job->{error};
        counts_are($h, "$way: counts", models => 200, failed => 0,
                   added => $way eq 'good' ? 200 : 0, bytes => length $good);
    }

    my %words = (
        missing => qr/status 404/,
        redirect => qr/status 302/,
        html => qr{content type "text/html"},
        picture => qr{content type "image/svg\+xml"},
        cut => qr/./,
        bomb => qr/larger than \d+ bytes|64 MiB/,
        always => qr/status 500/,
    );

    for my $way (sort keys %words) {
        $mode->($way);
        $up->forget;
        fails($way, $words{$way}, 60);

        my $asked = $up->requests;
        my $tries = $way =~ /^(?:always)$/ ? 3 : 1;
        is $asked, $tries, "$way: asked $tries times";
    }

    is scalar(grep { $_->{uri} ne '/api.json' } $up->requests), 0,
       'the redirect was not followed';

    $mode->('flaky');
    $up->forget;
    my ($job, $h) = refresh();
    is $job->{status}, 'completed', 'a server that failed once';
    is scalar(grep { $_->{uri} eq '/api.json' } $up->requests), 2,
       'was asked again';
    is $job->{attempt}, 1, 'within the same attempt';

    $up->stop;
    fails('nobody listens', qr/connect|refused/i, 60);

    $gw->reload(catalog => 'http://user:pass@127.0.0.1:1/x?key=secret-word',
                wait_old => 1);
    my ($bad) = refresh(60);
    is $bad->{status}, 'failed', 'a URL with a password in it fails';
    unlike $gw->log . ($bad->{error} // ''), qr/secret-word|user:pass/,
           'and nobody tells';
};


subtest 'the database is cut off in the middle' => sub {
    my @pieces = $text =~ /(.{1,60000})/gs;
    my $dir = $gw->dir . '/slow';
    mkdir $dir;
    chmod 0777, $dir;

    my $up = Upstream->new(sub {
        my $slow = mkdir "$dir/first";
        return { headers => [ 'Content-Type', 'application/json' ],
                 chunks => [ $slow ? map { ($_, \0.1) } @pieces
                                   : @pieces ] };
    });

    $gw->reload(catalog => $up->url . '/api.json', wait_old => 1);

    my $count = "select count(*) from model.models_metadata
                 where active and source = 'models.dev'";
    my $before = $gw->sql_value($count);
    my $rows = 'select count(*) from model.models_refresh_history';
    my $history = $gw->sql_value($rows);
    my $r = $gw->api(POST => '/api/v1/models/refresh');
    is $r->{status}, 202, 'begun';
    my $id = $r->{json}{id};

    my $staged = 'select count(*) from pg_locks l join pg_stat_activity a
        using (pid) where l.locktype = \'advisory\'
        and a.datname = current_database()';
    ok wait_until(sub { $gw->sql_value($staged) }), 'it has its lock';
    sleep 0.5;
    is $gw->sql_value($count), $before, 'nothing of it is visible yet';

    # no other connection is there either when the job finds its own one cut

    for (my $until = time + 0.5; time < $until; sleep 0.01) {
        $gw->sql("select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database()
                  and pid <> pg_backend_pid()");
    }

    my $job;
    ok wait_until(sub {
        $job = $gw->api(GET => "/api/v1/jobs/$id")->{json};
        ($job->{status} // '') !~ /^(?:pending|in_progress)?$/;
    }, 60), 'it ends';
    is $job->{status}, 'completed', 'the next attempt completes'
        or diag $job->{error};
    my $attempts = $job->{attempt};
    cmp_ok $attempts, '>', 1, 'which is another one';

    my $h = $gw->api(GET => '/api/v1/models/refresh/status?limit=2')
               ->{json}{history};
    is $h->[0]{status}, 'completed', 'the history has it';
    is $h->[1]{status}, 'failed', 'and what failed before';
    is $gw->sql_value($rows), $history + $attempts, 'a row of each';
    is $h->[0]{models}, 5269, 'all models';
    is $gw->sql_value("$count and provider_id <> 'url-lab'"), 5269,
       'are there; the provider that has gone as a whole stays for now';
    is get('/api/v1/models?limit=1')->{status}, 200, 'the catalog is served';
    by_hand_holds('after all that');
};


# a connection to each worker: while the other ones stand still, this one
# accepts (the kernel may have woken another one for the first connection, so
# there are three)

sub connections {
    my @workers = $gw->workers;
    my @all;

    for my $one (@workers) {
        kill 'STOP', grep { $_ != $one } @workers;
        my @wires = map { $gw->wire } 1 .. 3;
        $_->request('GET', '/health') for @wires;
        my $r = $wires[0]->response;
        kill 'CONT', @workers;
        is $r->{status}, 200, "connected to worker $one";
        push @all, shift @wires;
        $_->close for @wires;
    }

    return @all;
}


subtest 'a change by psql is served by every worker' => sub {
    my @wires = connections();
    my $id = 'openai/gpt-4.1';
    my @took;

    for my $n (1 .. 8) {
        sleep 0.7;
        $gw->sql("update model.models_metadata set name = 'Change $n'
                  where id = '$id'");
        my $began = time;
        my %seen;

        ok wait_until(sub {
            for my $i (grep { !$seen{$_} } 0 .. $#wires) {
                $wires[$i]->request('GET', "/api/v1/models/$id", \%auth);
                my $r = $wires[$i]->response;
                $seen{$i} = 1 if $r->{body} =~ /"Change $n"/;
            }

            return keys %seen == @wires;
        }), "change $n, every worker";
        push @took, 1000 * (time - $began);
    }

    @took = sort { $a <=> $b } @took;
    diag sprintf 'a change is served by all workers after %d to %d ms, '
                 . 'the median is %d', @took[0, -1, @took / 2];
    $_->close for @wires;
};


done_testing;
